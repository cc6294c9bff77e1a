package generator_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const execPath = "/k8s-proxy/api/v1/namespaces/default/pods/demo/exec?command=sh&x=%2F"

// TestRefusals holds the rendered rules to what people need to hear, on a real
// nginx.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"D":        "topology: D\nloadBalancer: {listen: ['@front']}\nhttp: {listen: ['@http']}\n",
		"packaged": "topology: packaged\nloadBalancer: {kind: external-http, listen: ['@front'], realIPFrom: [127.0.0.1/32]}\nhttp: {listen: ['@http']}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, text, "@front", "@http")
			prefix, client := "/k8s-proxy", "127.0.0.1"
			if name == "packaged" {
				prefix, client = "", "192.0.2.9"
			}
			for upgrade, says := range map[string]string{"SPDY/3.1": "WebSocket only", "": "without an Upgrade header"} {
				began := time.Now()
				resp, body := w.ask("@front", "POST", execPath, "kas.example.com", upgrade)
				var status struct {
					Kind, APIVersion, Status, Reason, Message string
					Code                                      int
				}
				if err := json.Unmarshal([]byte(body), &status); err != nil {
					t.Errorf("%v: %s", err, body)
				}
				if status.Kind != "Status" || status.APIVersion != "v1" || status.Status != "Failure" || status.Reason != "BadRequest" ||
					status.Code != 400 || resp.StatusCode != 400 || resp.Header.Get("Content-Type") != "application/json" || time.Since(began) > 5*time.Second {
					t.Errorf("%q: %s %v %s", upgrade, resp.Status, resp.Header, body)
				}
				for _, word := range []string{says, "kubectl 1.31", "KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "KUBECTL_PORT_FORWARD_WEBSOCKETS", "1.30"} {
					if !strings.Contains(status.Message, word) {
						t.Errorf("%q: no word of %s: %s", upgrade, word, status.Message)
					}
				}
			}
			w.quiet()
			if resp, _ := w.ask("@front", "GET", execPath, "kas.example.com", "WebSocket"); resp.StatusCode != 101 {
				t.Error(resp.Status)
			}
			path := strings.Replace(execPath, "/k8s-proxy", prefix, 1)
			if d := cmp.Diff("@api GET "+path+" HTTP/1.1 0 <nil> "+client, w.came()); d != "" {
				t.Error(d)
			}
			// Another subresource is nobody's business, whatever it upgrades to.
			if resp, _ := w.ask("@front", "GET", "/k8s-proxy/api/v1/namespaces/default/pods/demo/log", "kas.example.com", "SPDY/3.1"); resp.StatusCode != 101 {
				t.Error(resp.Status)
			}
			if d := cmp.Diff("@api GET "+prefix+"/api/v1/namespaces/default/pods/demo/log HTTP/1.1 0 <nil> "+client, w.came()); d != "" {
				t.Error(d)
			}
			if resp, _ := w.ask("@front", "GET", "/any", "kas.example.com", "websocket"); resp.StatusCode != 101 {
				t.Error(resp.Status)
			}
			if d := cmp.Diff("@agent GET /any HTTP/1.1 0 <nil> "+client, w.came()); d != "" {
				t.Error(d)
			}
			w.plain()
		})
	}
}

// plain looks at port 80.
func (w *world) plain() {
	w.t.Helper()
	challenge := filepath.Join(w.state, "acme", ".well-known", "acme-challenge")
	if err := os.MkdirAll(challenge, 0o755); err != nil {
		w.t.Fatal(err)
	}
	for dir := challenge; dir != filepath.Clean(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil { // a worker of nginx has no rights of root
			w.t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(challenge, "token"), []byte("answer"), 0o644); err != nil {
		w.t.Fatal(err)
	}
	for _, tc := range []struct{ path, host, want string }{
		{"/.well-known/acme-challenge/token", "kas.example.com", "200  answer"},
		{"/x?y=1", "kas.example.com", "301 https://kas.example.com/x?y=1 "},
		{"/x", "other.example.com", "421  "},
	} {
		conn, err := net.Dial("tcp", w.ports["@http"])
		if err != nil {
			w.t.Fatal(err)
		}
		resp, body := ask(w.t, conn, "GET", tc.path, tc.host, "")
		if resp.StatusCode > 299 {
			body = ""
		}
		if d := cmp.Diff(tc.want, fmt.Sprintf("%d %s %s", resp.StatusCode, resp.Header.Get("Location"), body)); d != "" {
			w.t.Error(d)
		}
	}
}

// TestNames holds both names to their ways on the real programs.
func TestNames(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text, grpc string
		listeners  []string
	}{
		"B, HAProxy":              {"topology: B\nloadBalancer: {listen: ['@front']}\nedge: {listen: '@edge'}\ngrpcBalancer: {listen: ['@grpc']}\nhttp: {listen: []}\n", "@front", []string{"@front", "@grpc"}},
		"B, HAProxy, TLS":         {"topology: B\nloadBalancer: {tls: terminate, listen: ['@front']}\nedge: {listen: '@edge'}\ngrpcBalancer: {listen: ['@grpc']}\nhttp: {listen: []}\n", "@front", []string{"@front", "@grpc"}},
		"B, nginx":                {"topology: B\nloadBalancer: {kind: nginx-stream, listen: ['@front']}\nedge: {listen: '@edge'}\ngrpcBalancer: {listen: ['@grpc']}\nhttp: {listen: []}\n", "@front", []string{"@front", "@grpc"}},
		"B, nginx, TLS":           {"topology: B\nloadBalancer: {kind: nginx-stream, tls: terminate, listen: ['@front']}\nedge: {listen: '@edge'}\ngrpcBalancer: {listen: ['@grpc']}\nhttp: {listen: []}\n", "@front", []string{"@front", "@grpc"}},
		"B, nginx before HAProxy": {"topology: B\nloadBalancer: {kind: nginx-stream, listen: ['@front']}\nedge: {listen: '@edge'}\ngrpcBalancer: {kind: haproxy, listen: ['@grpc']}\nhttp: {listen: []}\n", "@front", []string{"@front", "@grpc"}},
		"B, own address":          {"topology: B\nloadBalancer: {listen: ['@front']}\nedge: {listen: '@edge'}\ngrpcBalancer: {address: own, listen: ['@grpc']}\nhttp: {listen: []}\n", "@grpc", []string{"@front", "@grpc"}},
		"D":                       {"topology: D\nloadBalancer: {listen: ['@front']}\nhttp: {listen: []}\n", "@front", []string{"@front"}},
		"D, HAProxy":              {"topology: D\nloadBalancer: {listen: ['@front']}\ngrpcBalancer: {kind: haproxy, listen: ['@grpc']}\nhttp: {listen: []}\n", "@grpc", []string{"@front", "@grpc"}},
		"D, shared":               {"topology: D\nloadBalancer: {listen: ['@front'], shareWithGitLab: {enabled: true, address: '@edge', vhosts: '@vhosts'}}\n", "@front", []string{"@front", "@vhosts"}},
		"D, HTTP balancer":        {"topology: D\nloadBalancer: {kind: external-http, tls: terminate, listen: ['@front']}\ngrpcBalancer: {listen: ['@grpc']}\n", "@grpc", []string{"@front", "@grpc"}},
		"packaged":                {"topology: packaged\nloadBalancer: {listen: ['@front']}\nhttp: {listen: []}\n", "@front", []string{"@front"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			edge, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer edge.Close()
			w := start(t, strings.ReplaceAll(tc.text, "@edge", edge.Addr().String()), tc.listeners...)
			host := "kas-grpc.example.com"
			if name == "packaged" {
				host = "kas.example.com"
			}
			const size = 3 << 20 // more than nginx takes unless told
			resp := w.grpc(tc.grpc, host, "/gitlab.agent.x.Y/Z", size)
			if resp.StatusCode != 200 || resp.Trailer.Get("Grpc-Status") != "0" {
				t.Errorf("%s %v", resp.Status, resp.Trailer)
			}
			if d := cmp.Diff(fmt.Sprintf("@agent POST /gitlab.agent.x.Y/Z HTTP/2.0 %d <nil> ", size), w.came()); d != "" {
				t.Error(d)
			}
			if name == "packaged" {
				return
			}
			if resp := w.grpc(tc.grpc, host, "/k8s-proxy/version", 0); resp.StatusCode != 404 {
				t.Errorf("the gRPC name gives %s for another path", resp.Status)
			}
			w.quiet()
			if strings.HasPrefix(name, "B") {
				w.other(edge)
			}
		})
	}
}

// TestStrangers holds nginx to its names.
func TestStrangers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text    string
		refused bool // in the handshake
	}{
		"new":               {"topology: D\nloadBalancer: {listen: ['@front']}\nhttp: {listen: []}\n", true},
		"old":               {"topology: D\nloadBalancer: {listen: ['@front']}\nhttp: {listen: []}\nnginx: {version: '1.18.0'}\n", false},
		"behind a balancer": {"topology: D\nloadBalancer: {kind: external-http, listen: ['@front']}\nhttp: {listen: []}\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, tc.text, "@front")
			conn, err := tls.Dial("tcp", w.ports["@front"], &tls.Config{ServerName: "other.example.com", InsecureSkipVerify: true}) //nolint:gosec // a stranger
			if (err != nil) != tc.refused {
				t.Fatalf("refused in the handshake: %v, want %v", err, tc.refused)
			}
			if err == nil {
				if resp, _ := ask(t, conn, "GET", "/k8s-proxy/version", "other.example.com", ""); resp.StatusCode != 421 {
					t.Error(resp.Status)
				}
			}
			w.quiet()
		})
	}
}

// TestRemoved holds gRPC-only instances to a clear word for other agents.
func TestRemoved(t *testing.T) {
	t.Parallel()
	for _, topology := range []string{"D", "packaged"} {
		t.Run(topology, func(t *testing.T) {
			t.Parallel()
			w := start(t, "topology: "+topology+"\nagents: {websocket: remove}\nloadBalancer: {listen: ['@front']}\nhttp: {listen: []}\n", "@front")
			resp, body := w.ask("@front", "GET", "/", "kas.example.com", "websocket")
			if resp.StatusCode != 410 || !strings.Contains(body, "grpcs://kas") {
				t.Errorf("%s %s", resp.Status, body)
			}
			w.quiet()
			if resp, _ := w.ask("@front", "GET", "/k8s-proxy/version", "kas.example.com", ""); resp.StatusCode != 200 {
				t.Error(resp.Status)
			}
		})
	}
}
