package runtime

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kasgen/runtime/host"
	"kasgen/runtime/systemd"
)

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		os.Exit(command())
	}
	// Validation is real and nonces are rejected; only the test CA's random sleep
	// before validating is off.
	if err := os.Setenv("PEBBLE_VA_NOSLEEP", "1"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"))
}

const (
	jobToken   = "job-token"
	agentToken = "agent-token"
	agentID    = 7
)

// files are a bundle of topology A with a second frontend for bare TCP and a
// second route at the edge. GITLAB stands for the stand-in's URL.
var files = map[string]string{
	"kasgen.lock.yaml": `apiVersion: kasgen/v1
kind: Lock
kasgen: 0.1.0
topology: A
specDigest: "0000000000000000000000000000000000000000000000000000000000000000"
stateDir: /state
names:
  kas: {name: kas.example.com, listeners: ["127.0.0.1:443"], pathPrefix: /k8s-proxy}
carries:
  agents: {wss: "yes", grpcs: "yes"}
  kubectl: {spdy: "yes", websocket: "yes"}
development:
  - {path: /state/tls/ca.crt, kind: ca, names: []}
  - {path: /state/tls/kas.crt, kind: certificate, names: [kas.example.com]}
  - {path: /state/secrets/gitlab, kind: secret, names: []}
files: []
`,
	"haproxy/haproxy.cfg": `global
    hard-stop-after 1s
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
frontend kas
    bind 127.0.0.1:443
    default_backend edge
backend edge
    server edge-1 127.0.0.1:9443 send-proxy-v2
frontend bare
    bind 127.0.0.1:444
    default_backend bare
backend bare
    server bare-1 127.0.0.1:7001
frontend grpc
    mode http
    bind 127.0.0.1:445 proto h2
    timeout http-request 10s
    default_backend kas-grpc
backend kas-grpc
    mode http
    server agent-1 127.0.0.1:8150 proto h2
`,
	"nginx/nginx.conf": `worker_shutdown_timeout 1s;
events { worker_connections 1000; }
http {
    map $http_upgrade $connection_upgrade { default upgrade; "" close; }
    server {
        listen 127.0.0.1:80;
        server_name kas.example.com;
        proxy_http_version 1.1;
        proxy_read_timeout 1h;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        location /k8s-proxy/ { proxy_pass http://127.0.0.1:8154; }
        location / { return 204; }
    }
}
`,
	"edge/edge.yaml": `apiVersion: kasgen/v1
kind: Edge
listeners:
  - name: kas
    address: 127.0.0.1:9443
    proxyProtocol: v2
    tls: {certificateFile: /state/tls/kas.crt, keyFile: /state/tls/kas.key, minVersion: "1.2", alpn: [http/1.1, h2]}
    serverNames: [kas.example.com]
    limits: {handshake: 10s, sniff: 10s, header: 10s, maxHeaderBytes: 65536, idle: 1m0s}
    routes:
      grpc: agent
      paths:
        - {prefix: /k8s-proxy, upstream: kubernetes-api, upgrades: [websocket, SPDY/3.1]}
        - {prefix: /old, upstream: elsewhere, upgrades: [websocket]}
        - {prefix: /, upstream: agent, upgrades: [websocket], upgradeOnly: true}
upstreams:
  - {name: agent, address: "127.0.0.1:8150", connect: 5s}
  - {name: kubernetes-api, address: "127.0.0.1:8154", connect: 5s}
  - {name: elsewhere, address: "127.0.0.1:7002", connect: 5s}
drain: 1s
`,
	"kas/kas-config.yaml": `gitlab: {address: "GITLAB", authentication_secret_file: /state/secrets/gitlab, external_url: "https://gitlab.example.com"}
agent:
  listen: {network: tcp, address: "127.0.0.1:8150", websocket: true, listen_grace_period: 1s}
  kubernetes_api:
    listen: {network: tcp, address: "127.0.0.1:8154", shutdown_grace_period: 1s}
    url_path_prefix: /k8s-proxy
observability: {listen: {network: tcp, address: "127.0.0.1:8151"}}
api: {listen: {network: tcp, address: "127.0.0.1:8153", authentication_secret_file: /state/secrets/gitlab}}
private_api: {listen: {network: tcp, address: "127.0.0.1:8155", authentication_secret_file: /state/secrets/gitlab}}
`,
}

// world is a bundle that runs, with what is around it.
type world struct {
	t     testing.TB
	dir   string
	state string
	errs  *lines
	roots *x509.CertPool

	mu    sync.Mutex
	moved map[string]string // addresses in files to those that are really open

	hangup chan os.Signal
	stop   func() error // as SIGTERM; once
}

// lines is a log that is read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newWorld runs the files as `kasgen run` does, after what prepare has done to
// them.
func newWorld(t testing.TB, prepare ...func(*world)) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), state: filepath.Join(t.TempDir(), "state"), errs: new(lines), moved: map[string]string{}, hangup: make(chan os.Signal, 1)}
	gitlab := httptest.NewServer(gitlab())
	t.Cleanup(gitlab.Close)
	for name, text := range files {
		w.write(name, strings.ReplaceAll(text, "GITLAB", gitlab.URL))
	}
	w.elsewhere("127.0.0.1:7001", "one")
	w.elsewhere("127.0.0.1:7002", "two")
	for _, f := range prepare {
		f(w)
	}
	log := slog.New(slog.NewJSONHandler(w.errs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p := &process{log: log, out: io.Discard, machine: w.machine(log), sockets: &systemd.Sockets{},
		options: runOptions{dir: w.dir, state: w.state, role: string(All)}}
	b, err := Read(w.dir, All)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.run(ctx, b, w.hangup) }()
	w.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(w.errs.String())
		}
	})
	w.await(`"msg":"listening","file":"127.0.0.1:8155"`, 1)
	pem, err := os.ReadFile(filepath.Join(w.state, "tls/ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	w.roots = x509.NewCertPool()
	w.roots.AppendCertsFromPEM(pem)
	return w
}

// machine opens every address on a free port.
func (w *world) machine(log *slog.Logger) *host.Host {
	h := host.Machine(log)
	var lc net.ListenConfig
	h.Listen = func(ctx context.Context, network, address string) (net.Listener, error) {
		ln, err := lc.Listen(ctx, network, "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.moved[address] = ln.Addr().String()
		return ln, nil
	}
	var d net.Dialer
	h.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		return d.DialContext(ctx, network, w.at(address))
	}
	return h
}

// at is where an address of the files is.
func (w *world) at(address string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if to, ok := w.moved[address]; ok {
		return to
	}
	return address
}

func (w *world) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// edit changes one place of a file.
func (w *world) edit(name, old, new string) {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	if strings.Count(string(text), old) != 1 {
		w.t.Fatalf("%q is in %s %d times", old, name, strings.Count(string(text), old))
	}
	w.write(name, strings.Replace(string(text), old, new, 1))
}

// await waits until text has been logged n times.
func (w *world) await(text string, n int) {
	w.t.Helper()
	for limit := time.Now().Add(20 * time.Second); strings.Count(w.errs.String(), text) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			w.t.Fatalf("%q was not logged %d times\n%s", text, n, w.errs.String())
		}
	}
}

// change is what the log says of a reload.
type change struct {
	Msg, Result         string
	Generation          int
	Made, Kept, Retired []string
}

// reload sends SIGHUP, waits for the answer and returns it.
func (w *world) reload() change {
	w.t.Helper()
	const answer = `"result":`
	n := strings.Count(w.errs.String(), answer)
	w.hangup <- syscall.SIGHUP
	w.await(answer, n+1)
	var last change
	for line := range strings.Lines(w.errs.String()) {
		if strings.Contains(line, answer) && strings.HasSuffix(line, "\n") {
			last = change{}
			if err := json.Unmarshal([]byte(line), &last); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	return last
}

// get asks for a path through the front, or of observability.
func (w *world) get(path string) (int, string, error) {
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.roots, ServerName: "kas.example.com"}, DisableKeepAlives: true}
	c := &http.Client{Transport: tr, Timeout: 20 * time.Second}
	url := "https://" + w.at("127.0.0.1:443") + path
	switch rest, nginx := strings.CutPrefix(path, "nginx:"); {
	case nginx:
		url = "http://" + w.at("127.0.0.1:80") + rest
	case path == "/readiness" || path == "/metrics":
		url = "http://" + w.at("127.0.0.1:8151") + path
	}
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", fmt.Sprintf("Bearer ci:%d:%s", agentID, jobToken))
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// mustGet fails the test unless path answers with code and text.
func (w *world) mustGet(path string, code int, text string) {
	w.t.Helper()
	got, body, err := w.get(path)
	if err != nil || got != code || !strings.Contains(body, text) {
		w.t.Errorf("%s: %d %q, %v; want %d %q", path, got, body, err, code, text)
	}
}

// elsewhere is a server outside the bundle: it says its name and returns every
// line, or every line after a 101 where it is asked for one.
func (w *world) elsewhere(address, name string) {
	w.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.moved[address] = ln.Addr().String()
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			work.Go(func() { defer c.Close(); answer(c, name) })
		}
	})
	w.t.Cleanup(func() { ln.Close(); work.Wait() })
}

// gitlab knows one agent and one job.
func gitlab() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v4/internal/kubernetes/agent_info", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"project_id": 3, "agent_id": %d, "agent_name": "a"}`, agentID)
	})
	mux.HandleFunc("GET /api/v4/job/allowed_agents", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"allowed_agents": [{"id": %d, "config_project": {"id": 3}, "configuration": {}}],
			"job": {"id": 11}, "pipeline": {"id": 12}, "project": {"id": 13, "groups": []}, "user": {"id": 15, "username": "u"}}`, agentID)
	})
	return mux
}
