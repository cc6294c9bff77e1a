package agent

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/anypb"
	"k8s.io/client-go/rest"

	"kasgen/internal/kasrpc/kubeapi"
)

func TestImpersonation(t *testing.T) {
	t.Parallel()
	seen := make(chan http.Header, 1)
	handler := func(_ http.ResponseWriter, r *http.Request) {
		got := http.Header{}
		for name, values := range r.Header {
			if strings.HasPrefix(name, "Impersonate-") || name == "Authorization" {
				got[name] = values
			}
		}
		seen <- got
	}
	plain := serveCluster(t, handler, func(o *Options) { o.Cluster.BearerToken = "of-the-agent" })
	as := serveCluster(t, handler, func(o *Options) {
		o.Cluster.Impersonate = rest.ImpersonationConfig{UserName: "admin"}
	})
	byKas := &kubeapi.ImpersonationConfig{
		Username: "gitlab:ci_job:7", Groups: []string{"gitlab:ci_job", "gitlab:project:1"}, Uid: "u",
		Extra: []*kubeapi.ExtraKeyVal{{Key: "agent.gitlab.com/id", Val: []string{"42", "43"}}},
	}
	byClient := http.Header{"Impersonate-User": {"jane"}}
	for _, tt := range []struct {
		name   string
		on     *served
		kas    *kubeapi.ImpersonationConfig
		client http.Header
		want   http.Header // nil: refused
	}{
		{"nobody", plain, nil, nil, http.Header{"Authorization": {"Bearer of-the-agent"}}},
		{"kas", plain, byKas, nil, http.Header{
			"Authorization":                           {"Bearer of-the-agent"},
			"Impersonate-User":                        {"gitlab:ci_job:7"},
			"Impersonate-Uid":                         {"u"},
			"Impersonate-Group":                       {"gitlab:ci_job", "gitlab:project:1"},
			"Impersonate-Extra-Agent.gitlab.com%2fid": {"42", "43"},
		}},
		{"client", plain, nil, byClient, http.Header{"Authorization": {"Bearer of-the-agent"}, "Impersonate-User": {"jane"}}},
		{"kubeconfig", as, nil, nil, http.Header{"Impersonate-User": {"admin"}}},
		{"kas and client", plain, byKas, byClient, nil},
		{"kubeconfig and kas", as, byKas, nil, nil},
		{"kubeconfig and client", as, nil, byClient, nil},
		{"client's extra and kas", plain, byKas, http.Header{"Impersonate-Extra-Scopes": {"x"}}, nil},
	} {
		for _, upgrade := range []bool{false, true} {
			name := tt.name
			if upgrade {
				name += " with upgrade"
			}
			t.Run(name, func(t *testing.T) {
				tunnel := <-tt.on.kas.tunnels
				head := headOf("GET", "/", tt.client, length(0))
				if upgrade {
					h := http.Header{"Upgrade": {"SPDY/3.1"}, "Connection": {"Upgrade"}}
					for k, v := range tt.client {
						h[k] = v
					}
					head = headOf("GET", "/", h, length(0))
				}
				if tt.kas != nil {
					extra, err := anypb.New(&kubeapi.HeaderExtra{ImpConfig: tt.kas})
					if err != nil {
						t.Fatal(err)
					}
					head.Extra = extra
				}
				tunnel.request(t, head)
				got := tunnel.rest(t)
				if tt.want == nil {
					if got.Code != codes.Unavailable || !strings.Contains(got.Message, "nested impersonation is not supported") {
						t.Errorf("%v %s", got.Code, got.Message)
					}
					return
				}
				if got.Code != codes.OK {
					t.Fatalf("%v %s", got.Code, got.Message)
				}
				if diff := cmp.Diff(tt.want, <-seen); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestClusterRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		c    *rest.Config
	}{
		{"none", nil},
		{"proxy", &rest.Config{Host: "https://c", Proxy: http.ProxyFromEnvironment}},
		{"transport", &rest.Config{Host: "https://c", Transport: http.DefaultTransport}},
		{"host", &rest.Config{Host: "https://c:port"}},
		{"certificate", &rest.Config{Host: "https://c", TLSClientConfig: rest.TLSClientConfig{CAFile: t.TempDir() + "/none"}}},
	} {
		if _, err := New(Options{KasURL: "grpc://kas", Token: "t", Cluster: tt.c}); err == nil || !strings.HasPrefix(err.Error(), "cluster: ") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// A kubeconfig's server may have a path of its own.
func TestClusterBehindPath(t *testing.T) {
	t.Parallel()
	s := serveCluster(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.URL.Path))
	}, func(o *Options) { o.Cluster.Host += "/k8s/clusters/c-1/" })
	tunnel := <-s.kas.tunnels
	tunnel.request(t, headOf("GET", "/api", nil, length(0)))
	if got := tunnel.rest(t); got.Body != "/k8s/clusters/c-1/api" {
		t.Errorf("the API server was asked for %q", got.Body)
	}
}
