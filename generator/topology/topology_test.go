package topology_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/generator/spec"
	"kasgen/generator/topology"
	"kasgen/internal/lockfile"
)

func made(t *testing.T, text string) topology.Topology {
	t.Helper()
	s, fs := spec.Read("k.yaml", []byte("apiVersion: kasgen/v1\ngitlab: {url: 'https://example.com'}\nnames: {kas: kas.example.com}\n"+text), nil)
	if fs.Failed() {
		t.Fatal(fs)
	}
	made, err := topology.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// TestCarries is the matrix of what each combination carries: agents by
// WebSocket and gRPC, kubectl by SPDY and WebSocket.
func TestCarries(t *testing.T) {
	t.Parallel()
	const y, r, n = lockfile.Yes, lockfile.Refused, lockfile.No
	for text, want := range map[string][4]lockfile.Answer{
		"topology: packaged\n":                                                          {y, y, y, y},
		"topology: packaged\nagents: {websocket: remove}\n":                             {r, y, y, y},
		"topology: A\n":                                                                 {y, y, y, y},
		"topology: A\nagents: {websocket: remove}\n":                                    {r, y, y, y},
		"topology: A\nloadBalancer: {tls: terminate}\n":                                 {y, y, y, y},
		"topology: A\nloadBalancer: {kind: external-tcp, tls: terminate}\n":             {y, y, y, y},
		"topology: A\nloadBalancer: {kind: external-tcp, tls: terminate, alpn: none}\n": {y, n, y, y},
		"topology: B\n": {y, y, y, y},
		"topology: B\nagents: {websocket: remove}\n":                                              {r, y, y, y},
		"topology: B\nloadBalancer: {tls: terminate}\n":                                           {y, y, y, y},
		"topology: B\nloadBalancer: {kind: external-tcp, tls: terminate, alpn: none}\n":           {y, y, y, y},
		"topology: packaged\nloadBalancer: {kind: external-http}\n":                               {y, n, r, y},
		"topology: packaged\nloadBalancer: {kind: external-http2}\n":                              {n, y, r, r},
		"topology: packaged\nloadBalancer: {kind: external-http2}\nagents: {websocket: remove}\n": {n, y, r, r},
		"topology: D\n": {y, y, r, y},
		"topology: D\nagents: {websocket: remove}\n":                                               {r, y, r, y},
		"topology: D\nloadBalancer: {kind: external-http}\ngrpcBalancer: {kind: external-http2}\n": {y, y, r, y},
	} {
		c := made(t, text).Carries
		if d := cmp.Diff(want, [4]lockfile.Answer{c.Agents.WSS, c.Agents.GRPCS, c.Kubectl.SPDY, c.Kubectl.WebSocket}); d != "" {
			t.Errorf("%s%s", text, d)
		}
	}
}

// TestNames holds the manifest to the listeners that clients meet.
func TestNames(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]lockfile.Names{
		"topology: A\n": {KAS: lockfile.Host{Name: "kas.example.com", Listeners: []string{"0.0.0.0:443"}, PathPrefix: "/k8s-proxy"}},
		"topology: A\nloadBalancer: {kind: external-tcp, proxyProtocol: v1}\n": {KAS: lockfile.Host{Name: "kas.example.com", Listeners: []string{"127.0.0.1:9443"}, PathPrefix: "/k8s-proxy",
			Front: &lockfile.Front{Kind: "external-tcp", TLS: "passthrough", ProxyProtocol: "v1"}}},
		"topology: A\nloadBalancer: {kind: external-tcp, tls: terminate}\n": {KAS: lockfile.Host{Name: "kas.example.com", Listeners: []string{"127.0.0.1:9443"}, PathPrefix: "/k8s-proxy",
			Front: &lockfile.Front{Kind: "external-tcp", TLS: "terminate", ALPN: []string{"http/1.1", "h2"}, ProxyProtocol: "none"}}},
		"topology: A\nloadBalancer: {kind: external-tcp, tls: terminate, alpn: none}\n": {KAS: lockfile.Host{Name: "kas.example.com", Listeners: []string{"127.0.0.1:9443"}, PathPrefix: "/k8s-proxy",
			Front: &lockfile.Front{Kind: "external-tcp", TLS: "terminate", ProxyProtocol: "none"}}},
		"topology: B\nloadBalancer: {listen: ['192.0.2.1:443']}\ngrpcBalancer: {listen: ['192.0.2.2:443']}\n": {
			KAS:  lockfile.Host{Name: "kas.example.com", Listeners: []string{"192.0.2.1:443"}, PathPrefix: "/k8s-proxy"},
			GRPC: &lockfile.Host{Name: "kas-grpc.example.com", Listeners: []string{"192.0.2.2:443"}}},
		"topology: B\n": {
			KAS:  lockfile.Host{Name: "kas.example.com", Listeners: []string{"0.0.0.0:443"}, PathPrefix: "/k8s-proxy"},
			GRPC: &lockfile.Host{Name: "kas-grpc.example.com", Listeners: []string{"0.0.0.0:443"}}},
		"topology: D\nloadBalancer: {kind: external-http, tls: terminate}\n": {
			KAS: lockfile.Host{Name: "kas.example.com", Listeners: []string{"0.0.0.0:8080"}, PathPrefix: "/k8s-proxy",
				Front: &lockfile.Front{Kind: "external-http", TLS: "terminate", ProxyProtocol: "none"}},
			GRPC: &lockfile.Host{Name: "kas-grpc.example.com", Listeners: []string{"0.0.0.0:443"}}},
		"topology: D\nloadBalancer: {kind: external-http}\n": {
			KAS: lockfile.Host{Name: "kas.example.com", Listeners: []string{"0.0.0.0:443"}, PathPrefix: "/k8s-proxy",
				Front: &lockfile.Front{Kind: "external-http", TLS: "reencrypt", ProxyProtocol: "none"}},
			GRPC: &lockfile.Host{Name: "kas-grpc.example.com", Listeners: []string{"0.0.0.0:443"}}},
		"topology: B\ngrpcBalancer: {kind: external-http2}\n": {
			KAS: lockfile.Host{Name: "kas.example.com", Listeners: []string{"0.0.0.0:443"}, PathPrefix: "/k8s-proxy"},
			GRPC: &lockfile.Host{Name: "kas-grpc.example.com", Listeners: []string{"127.0.0.1:8150"},
				Front: &lockfile.Front{Kind: "external-http2", TLS: "terminate", ProxyProtocol: "none"}}},
	} {
		if d := cmp.Diff(want, made(t, text).Names); d != "" {
			t.Errorf("%s%s", text, d)
		}
	}
}

// TestLetters holds the generator to asking a topology for its facts: letters
// mean something to the list of what a spec may say and to the constructors.
func TestLetters(t *testing.T) {
	t.Parallel()
	letters := regexp.MustCompile(`\bTopology(A|B|D|Packaged)\b|Topology\s*[!=]=|case "(A|B|D|packaged)"`)
	err := filepath.WalkDir("..", func(path string, entry os.DirEntry, err error) error {
		name := filepath.ToSlash(path)
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") ||
			name == "../topology/topology.go" || name == "../spec/topologies.go" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(data), "\n") {
			if letters.MatchString(line) && !strings.Contains(line, "Topology: TopologyA,") { // the default
				t.Errorf("%s:%d asks for the letter: %s", name, i+1, strings.TrimSpace(line))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
