package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// lab is a cluster under test with all that it observed.
type lab struct {
	*Cluster
	mu  sync.Mutex
	all []Observed
}

func (l *lab) requests() []Observed {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

func startLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{}
	dir := t.TempDir()
	c, err := Start(t.Context(), Options{
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Dir: dir,
		OnRequest: func(o Observed) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.all = append(l.all, o)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	l.Cluster = c
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("closing the cluster: %v", err)
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("the cluster left %v, %v", left, err)
		}
		if n, p := c.Connections(), c.Processes(); n != 0 || p != 0 {
			t.Errorf("%d connections and %d processes after Close", n, p)
		}
	})
	return l
}

// client returns an HTTP client that trusts the cluster's authority.
func (l *lab) client(t *testing.T) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(l.RESTConfig().CAData) {
		t.Fatal("no CA in the cluster's configuration")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// ask sends one request with the cluster's token.
func (l *lab) ask(t *testing.T, method, path, body string, headers ...string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, l.RESTConfig().Host+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+l.RESTConfig().BearerToken)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			req.Header.Del(headers[i])
		} else {
			req.Header.Add(headers[i], headers[i+1])
		}
	}
	resp, err := l.client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); resp.StatusCode >= 400 && got != "application/json" {
		t.Errorf("%s %s: content type %q of an error", method, path, got)
	}
	return resp.StatusCode, answer
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	const pod = "/api/v1/namespaces/default/pods/demo"
	configMap := func(name string) string {
		return `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"` + name + `"}}`
	}
	for _, test := range []struct {
		name, method, path, body string
		headers                  []string
		code                     int
		reason                   metav1.StatusReason
	}{
		{name: "no token", method: "GET", path: pod, headers: []string{"Authorization", ""}, code: 401, reason: metav1.StatusReasonUnauthorized},
		{name: "no token for exec", method: "POST", path: pod + "/exec?command=id&stdout=1", headers: []string{"Authorization", ""}, code: 401, reason: metav1.StatusReasonUnauthorized},
		{name: "groups without user", method: "GET", path: pod, headers: []string{"Impersonate-Group", "x"}, code: 500, reason: metav1.StatusReasonInternalError},
		{name: "no such pod", method: "GET", path: "/api/v1/namespaces/default/pods/other", code: 404, reason: metav1.StatusReasonNotFound},
		{name: "no such pod's log", method: "GET", path: "/api/v1/namespaces/default/pods/other/log", code: 404, reason: metav1.StatusReasonNotFound},
		{name: "no such resource", method: "GET", path: "/api/v1/namespaces/default/secrets", code: 404, reason: metav1.StatusReasonNotFound},
		{name: "no such group", method: "GET", path: "/apis/apps/v1/deployments", code: 404, reason: metav1.StatusReasonNotFound},
		{name: "no such subresource", method: "GET", path: pod + "/proxy", code: 404, reason: metav1.StatusReasonNotFound},
		{name: "pod without namespace", method: "GET", path: "/api/v1/pods/demo", code: 404, reason: metav1.StatusReasonNotFound},
		{name: "empty segment", method: "GET", path: "/api/v1//pods", code: 404, reason: metav1.StatusReasonNotFound},
		{name: "deleting the pod", method: "DELETE", path: pod, code: 405, reason: metav1.StatusReasonMethodNotAllowed},
		{name: "making a pod", method: "POST", path: "/api/v1/namespaces/default/pods", body: "{}", code: 405, reason: metav1.StatusReasonMethodNotAllowed},
		{name: "exec without upgrade", method: "POST", path: pod + "/exec?command=id&stdout=1", code: 400, reason: metav1.StatusReasonBadRequest},
		{name: "exec without command", method: "POST", path: pod + "/exec?stdout=1", code: 400, reason: metav1.StatusReasonBadRequest},
		{name: "exec without stream", method: "POST", path: pod + "/exec?command=id&stdin=false", code: 400, reason: metav1.StatusReasonBadRequest},
		{name: "exec in another container", method: "POST", path: pod + "/exec?command=id&stdout=1&container=x", code: 400, reason: metav1.StatusReasonBadRequest},
		{name: "exec by PUT", method: "PUT", path: pod + "/exec?command=id&stdout=1", code: 405, reason: metav1.StatusReasonMethodNotAllowed},
		{name: "log of another container", method: "GET", path: pod + "/log?container=x", code: 400, reason: metav1.StatusReasonBadRequest},
		{name: "previous log", method: "GET", path: pod + "/log?previous=true", code: 400, reason: metav1.StatusReasonBadRequest},
		{name: "log with a bad number", method: "GET", path: pod + "/log?tailLines=-3", code: 400, reason: metav1.StatusReasonBadRequest},
		{name: "unknown field selector", method: "GET", path: "/api/v1/pods?fieldSelector=a=b", code: 400, reason: metav1.StatusReasonBadRequest},
		{name: "bad label selector", method: "GET", path: "/api/v1/pods?labelSelector=%3D%3D", code: 400, reason: metav1.StatusReasonBadRequest},
		{name: "bad resource version", method: "GET", path: "/api/v1/pods?watch=1&resourceVersion=x", code: 400, reason: metav1.StatusReasonBadRequest},
		{name: "bad watch time", method: "GET", path: "/api/v1/pods?watch=1&timeoutSeconds=x", code: 400, reason: metav1.StatusReasonBadRequest},
		{name: "protobuf alone", method: "GET", path: pod, headers: []string{"Accept", "application/vnd.kubernetes.protobuf"}, code: 406, reason: metav1.StatusReasonNotAcceptable},
		{name: "no JSON", method: "POST", path: "/api/v1/namespaces/default/configmaps", body: "{", code: 400, reason: metav1.StatusReasonBadRequest},
		{name: "another kind", method: "POST", path: "/api/v1/namespaces/default/configmaps", body: `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}`, code: 400, reason: metav1.StatusReasonBadRequest},
		{name: "no name", method: "POST", path: "/api/v1/namespaces/default/configmaps", body: configMap(""), code: 400, reason: metav1.StatusReasonBadRequest},
		{name: "no such namespace", method: "POST", path: "/api/v1/namespaces/other/configmaps", body: configMap("a"), code: 404, reason: metav1.StatusReasonNotFound},
		{name: "changing what is not there", method: "PUT", path: "/api/v1/namespaces/default/configmaps/a", body: configMap("a"), code: 404, reason: metav1.StatusReasonNotFound},
		{name: "another name", method: "PUT", path: "/api/v1/namespaces/default/configmaps/a", body: configMap("b"), code: 400, reason: metav1.StatusReasonBadRequest},
		{name: "too large", method: "POST", path: "/api/v1/namespaces/default/configmaps", body: configMap(strings.Repeat("a", largestBody)), code: 413, reason: metav1.StatusReasonRequestEntityTooLarge},
		{name: "unknown patch", method: "PATCH", path: pod, body: "{}", code: 415, reason: metav1.StatusReasonUnsupportedMediaType},
		{name: "review by GET", method: "GET", path: "/apis/authentication.k8s.io/v1/selfsubjectreviews", code: 405, reason: metav1.StatusReasonMethodNotAllowed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			code, body := l.ask(t, test.method, test.path, test.body, test.headers...)
			var got metav1.Status
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatalf("%d %q: %v", code, body, err)
			}
			want := metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Reason: test.reason, Code: int32(test.code)}
			if got.Message == "" {
				t.Error("the Status has no message")
			}
			got.Message, got.Details = "", nil
			if d := cmp.Diff(want, got); d != "" || code != test.code {
				t.Errorf("code %d, Status (-want +got):\n%s\n%s", code, d, body)
			}
		})
	}
}

func TestWrongToken(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	for _, header := range []string{"Bearer x", "Basic " + l.RESTConfig().BearerToken, l.RESTConfig().BearerToken, "Bearer"} {
		code, _ := l.askAs(t, header)
		if code != http.StatusUnauthorized {
			t.Errorf("Authorization of form %.6q…: code %d, want 401", header, code)
		}
	}
}

func (l *lab) askAs(t *testing.T, authorization string) (int, []byte) {
	t.Helper()
	return l.ask(t, "GET", "/version", "", "Authorization", "", "Authorization", authorization)
}

func TestWhoAmI(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	const path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
	who := func(headers ...string) authenticationv1.UserInfo {
		t.Helper()
		code, body := l.ask(t, "POST", path, `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`, headers...)
		var got authenticationv1.SelfSubjectReview
		if err := json.Unmarshal(body, &got); err != nil || code != http.StatusCreated {
			t.Fatalf("%d %s: %v", code, body, err)
		}
		return got.Status.UserInfo
	}
	want := authenticationv1.UserInfo{Username: "kasgen-lab", Groups: []string{"system:masters", "system:authenticated"}}
	if d := cmp.Diff(want, who()); d != "" {
		t.Errorf("the owner (-want +got):\n%s", d)
	}
	got := who("Impersonate-User", "gitlab:ci_job:1", "Impersonate-Uid", "7",
		"Impersonate-Group", "gitlab:ci_job", "Impersonate-Group", "gitlab:project:3",
		"Impersonate-Extra-Agent.gitlab.com%2fid", "42")
	want = authenticationv1.UserInfo{
		Username: "gitlab:ci_job:1", UID: "7", Groups: []string{"gitlab:ci_job", "gitlab:project:3", "system:authenticated"},
		Extra: map[string]authenticationv1.ExtraValue{"agent.gitlab.com/id": {"42"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the impersonated (-want +got):\n%s", d)
	}
	all := l.requests()
	if d := cmp.Diff(Identity{
		User: "gitlab:ci_job:1", UID: "7", Groups: []string{"gitlab:ci_job", "gitlab:project:3"},
		Extra: map[string][]string{"agent.gitlab.com/id": {"42"}},
	}, all[len(all)-1].Impersonate); d != "" {
		t.Errorf("observed (-want +got):\n%s", d)
	}
}
