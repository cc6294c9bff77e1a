package probe

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestBlameCleartext finds who speaks cleartext to TLS among several programs:
// the last that does, behind the end of the clients' TLS.
func TestBlameCleartext(t *testing.T) {
	t.Parallel()
	const (
		passing = "defaults\n    mode tcp\nfrontend kas\n    bind :443\n    default_backend edge\nbackend edge\n    server edge-1 127.0.0.1:9443 send-proxy-v2\n"
		ending  = "defaults\n    mode tcp\nfrontend kas\n    bind :443 ssl crt x.pem\n    default_backend edge\nbackend edge\n    server edge-1 127.0.0.1:"
		stream  = "stream {\n    server {\n        listen 443 ssl;\n        proxy_pass 127.0.0.1:8154;\n    }\n}\n"
		plain   = "gitlab: {address: \"https://gitlab.example.com\", authentication_secret_file: secret}\nagent:\n  listen: {address: \":8150\"}\n  kubernetes_api:\n    listen: {address: \":8154\"}\n"
		secured = "gitlab: {address: \"https://gitlab.example.com\", authentication_secret_file: secret}\nagent:\n  listen: {address: \":8150\"}\n  kubernetes_api:\n    listen: {address: \":8154\", certificate_file: x.crt, key_file: x.key}\n"
	)
	edge := strings.NewReplacer("AGENTS", "127.0.0.1:8150", "API", "127.0.0.1:8154").Replace(edgeFile)
	for _, tc := range []struct {
		name  string
		files map[string]string
		line  string // "" for none
		say   string
	}{
		{"the edge, behind a balancer that passes TLS", map[string]string{"haproxy/haproxy.cfg": passing, "edge/edge.yaml": edge, "kas/kas-config.yaml": secured}, "kubernetes-api, address", "kas-config.yaml:5:23 takes TLS"},
		{"the edge, behind a balancer that ends TLS", map[string]string{"haproxy/haproxy.cfg": ending + "9080\n", "edge/edge.yaml": edge, "kas/kas-config.yaml": secured}, "kubernetes-api, address", "takes TLS"},
		{"the balancer", map[string]string{"haproxy/haproxy.cfg": ending + "9443\n", "edge/edge.yaml": edge, "kas/kas-config.yaml": plain}, "server edge-1", "edge.yaml:6:20 takes TLS"},
		{"the edge, before a kas that the bundle does not have", map[string]string{"edge/edge.yaml": edge}, "kubernetes-api, address", "127.0.0.1:8154 has TLS"},
		{"a balancer by nginx", map[string]string{"nginx/stream.conf": stream}, "proxy_pass", "has TLS"},
		{"nobody: nginx speaks TLS", map[string]string{"nginx/stream.conf": strings.Replace(stream, "proxy_pass", "proxy_ssl on; proxy_pass", 1)}, "", ""},
		{"nobody: a kas without TLS", map[string]string{"haproxy/haproxy.cfg": passing, "edge/edge.yaml": edge, "kas/kas-config.yaml": plain}, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, text := range tc.files {
				write(t, filepath.Join(dir, name), text)
			}
			b, err := ReadBundle(dir)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(tc.say, "takes TLS") { // a listener that closes without a word
				c, _ := gateway("GET /k8s-proxy/version", &answer{status: 502})
				b.blame(&c, &endpoint{host: labName, port: "443", agents: "/", proxy: "/k8s-proxy/"})
				if line := blamed(t, &c); !strings.Contains(line, tc.line) || c.Fix != speakTLS {
					t.Errorf("502: %q, %q, want %q", line, c.Fix, tc.line)
				}
			}
			c := cleartextToTLS("GET /k8s-proxy/version", &answer{status: 400})
			c.ID = CheckProxyPath
			b.blame(&c, &endpoint{host: labName, port: "443", agents: "/", proxy: "/k8s-proxy/"})
			if line := blamed(t, &c); (line == "") != (tc.line == "") || !strings.Contains(line, tc.line) || !strings.Contains(c.Line, tc.say) {
				t.Errorf("%q, %q, want %q, %q", line, c.Line, tc.line, tc.say)
			}
		})
	}
}
