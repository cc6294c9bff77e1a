package scenarios

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/cli"
	kasgenruntime "kasgen/runtime"
)

// log is what a command writes while it runs.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// free gives every address of a bundle a free port.
func free(t *testing.T, dir string) {
	t.Helper()
	for old, files := range map[string][]string{
		":9443": {"haproxy/haproxy.cfg", "edge/edge.yaml"}, ":8150": {"edge/edge.yaml", "kas/kas-config.yaml"}, ":8154": {"edge/edge.yaml", "kas/kas-config.yaml"},
		":8151": {"kas/kas-config.yaml"}, ":8153": {"kas/kas-config.yaml"}, ":8155": {"kas/kas-config.yaml"},
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
		for _, f := range files {
			edit(t, dir, f, old, ":"+port)
		}
	}
}

// TestRun is `kasgen run` as an operator starts it on a machine where nothing
// has been prepared: it makes the development files, moves port 443, serves,
// and ends when it is told to.
func TestRun(t *testing.T) {
	t.Parallel()
	dir, state := rendered(t), filepath.Join(t.TempDir(), "state")
	free(t, dir)
	out, errs := new(log), new(log)
	streams := cli.IO{Out: out, Err: errs}
	ctx, stop := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- cli.Run(ctx, cli.Root(streams, kasgenruntime.Commands(streams)...), []string{"run", dir, "--state", state, "--remap", "443=0"})
	}()
	defer func() {
		stop()
		if c := <-code; c != cli.Done || !strings.Contains(errs.String(), "msg=stopped") {
			t.Errorf("exit code %d\n%s", c, errs.String())
		}
		for _, secret := range []string{"secrets/gitlab", "tls/kas.key"} {
			text, err := os.ReadFile(filepath.Join(state, secret))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(errs.String(), strings.TrimSpace(string(text))) {
				t.Errorf("%s is in the log", secret)
			}
		}
	}()
	var front string
	for limit := time.Now().Add(20 * time.Second); front == ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("the front does not listen\n%s", errs.String())
		}
		if _, rest, ok := strings.Cut(errs.String(), "msg=listening file=0.0.0.0:443 address="); ok && strings.Contains(rest, "\n") {
			front, _, _ = strings.Cut(rest, "\n")
		}
	}
	if !strings.Contains(errs.String(), "a listener of the front is moved") {
		t.Errorf("the moved port is not told\n%s", errs.String())
	}
	_, port, err := net.SplitHostPort(front)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(filepath.Join(state, "tls/ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out.String(), "ca.crt:\n"+string(pem)) || strings.Contains(out.String(), "PRIVATE") {
		t.Errorf("the root of the development CA is not printed:\n%s", out.String())
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "kas.example.com"}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("https://127.0.0.1:" + port + "/k8s-proxy/version")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 401 || !strings.Contains(string(body), "the request has no credentials: neither an Authorization header nor the cookie _gitlab_kas") {
		t.Errorf("%d %s, %v", resp.StatusCode, body, err)
	}
}

func TestRunCheck(t *testing.T) {
	t.Parallel()
	dir, state := rendered(t), filepath.Join(t.TempDir(), "state")
	run := func(args ...string) (int, string) {
		var both bytes.Buffer
		streams := cli.IO{Out: &both, Err: &both}
		return cli.Run(t.Context(), cli.Root(streams, kasgenruntime.Commands(streams)...), append([]string{"run", dir, "--state", state}, args...)), both.String()
	}
	code, said := run("--check")
	if code != cli.Done || !strings.Contains(said, "would listen on 0.0.0.0:443") || !strings.Contains(said, "warning: KAS3101: the file "+state+"/secrets/gitlab is not there") {
		t.Errorf("exit code %d\n%s", code, said)
	}
	if _, err := os.Stat(state); !os.IsNotExist(err) {
		t.Errorf("--check has made %s: %v", state, err)
	}
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--remap", "81=8081"}, cli.Misuse, "does not listen on [81]"},
		{[]string{"--remap", "443"}, cli.Misuse, `"443" is not of the form PORT=PORT`},
		{[]string{"--role", "nginx"}, cli.Misuse, "it is one of all, front, edge, kas and certs"},
	} {
		if code, said := run(tt.args...); code != tt.code || !strings.Contains(said, tt.want) {
			t.Errorf("%v: exit code %d\n%s", tt.args, code, said)
		}
	}
}

// TestRunMakesWhatItsRoleNeeds and nothing else.
func TestRunMakesWhatItsRoleNeeds(t *testing.T) {
	t.Parallel()
	gitlab := "kas: {kind: gitlab, redis: {address: \"localhost:6379\"}}\n"
	for _, tt := range []struct {
		name, more string
		role       kasgenruntime.Role
		want       []string
	}{
		{"edge", "", kasgenruntime.Edge, []string{"/s/tls/ca.crt", "/s/tls/kas.crt"}},
		{"front that passes TLS through", "", kasgenruntime.Front, nil},
		{"front that ends TLS", "loadBalancer: {tls: terminate}\n", kasgenruntime.Front, []string{"/s/tls/ca.crt", "/s/tls/kas.crt"}},
		{"kas", "", kasgenruntime.Kas, []string{"/s/secrets/gitlab", "/s/secrets/api", "/s/secrets/private_api", "/s/secrets/websocket_token"}},
		{"edge before GitLab's kas", gitlab, kasgenruntime.Edge, []string{"/s/tls/ca.crt", "/s/tls/kas.crt"}},
	} {
		b, err := kasgenruntime.Read(renderedFrom(t, tt.more), tt.role)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, i := range b.Development("/s") {
			got = append(got, i.Path)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestRunRefuses: what the embedded programs do not do is refused with its
// place, every fault of every file in one run, before a socket opens.
func TestRunRefuses(t *testing.T) {
	t.Parallel()
	dir := rendered(t)
	edit(t, dir, "haproxy/haproxy.cfg", "    mode tcp\n", "    mode health\n")
	edit(t, dir, "edge/edge.yaml", "    routes:\n", "    rutes:\n")
	edit(t, dir, "kas/kas-config.yaml", "gitlab:\n", "redis: {server: {address: \"localhost:6379\"}}\ngitlab:\n")
	var both bytes.Buffer
	streams := cli.IO{Out: &both, Err: &both}
	code := cli.Run(t.Context(), cli.Root(streams, kasgenruntime.Commands(streams)...), []string{"run", dir})
	for _, want := range []string{"haproxy/haproxy.cfg:14:10: error: ", "edge/edge.yaml:", `"rutes"`, "kas/kas-config.yaml:4:8: error: KAS3003", "redis is not something that the embedded kas does"} {
		if !strings.Contains(both.String(), want) {
			t.Errorf("no %q", want)
		}
	}
	if code != cli.Failure || t.Failed() {
		t.Errorf("exit code %d\n%s", code, both.String())
	}
}

// TestRenderedFilesRun: what the default and its variants render, the embedded
// programs read.
func TestRenderedFilesRun(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]string{
		"default":      "",
		"nginx":        "loadBalancer: {kind: nginx-stream, proxyProtocol: v1}\n",
		"terminate":    "loadBalancer: {tls: terminate}\n",
		"gRPC only":    "agents: {websocket: remove}\n",
		"shared 443":   "loadBalancer: {shareWithGitLab: {enabled: true}}\n",
		"other prefix": "kas: {kind: embedded, pathPrefix: /cluster}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, _ := start(t, renderedFrom(t, more))
			for _, a := range l.Agents {
				if err := oneBy(t, l, a, "exec tty", "SPDY"); err != nil {
					t.Errorf("exec over SPDY by the %s agent: %v", a.Name, err)
				}
			}
			if want := fmt.Sprint(2 - strings.Count(name, "only")); fmt.Sprint(len(l.Agents)) != want {
				t.Errorf("%d agents, want %s", len(l.Agents), want)
			}
		})
	}
}
