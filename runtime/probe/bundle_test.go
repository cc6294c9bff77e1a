package probe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

// TestBundles looks for somebody to blame in every bundle that kasgen writes,
// for every code and layer: a line of a file that is there, or nothing.
func TestBundles(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("../../generator/testdata/render/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal(archives, err)
	}
	codes := []string{codeName, codeTCP, codeProxy, codeTLS, codeChain, codeCertName, codeExpiry, codeALPN, codeHTTP, codeRedirect, codeWebSocket, codeNotKAS,
		codeHTTP2Only, codeGRPC, codeGRPCALPN, codeAgentPort, codePrefix, codeGateway, codeErrorPage, codeUpgrade, codeSPDY, codeDenied, codeBuffering, codeBody, codeIdle, codeReload}
	blamed := 0
	for _, file := range archives {
		dir := t.TempDir()
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range a.Files {
			write(t, filepath.Join(dir, f.Name), string(f.Data))
		}
		b, err := ReadBundle(dir)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if c := b.reload(); c.Result != Pass && (c.Result != Skip || b.web != nil || b.stream != nil || b.haproxy != nil) {
			t.Errorf("%s: %+v", file, c)
		}
		e := &endpoint{host: labName, port: "443", agents: "/", proxy: "/k8s-proxy/"}
		for _, code := range codes {
			for _, layer := range IDs() {
				c := Check{ID: layer, Code: code, limit: 2 * time.Hour, Observed: "/k8s-proxy is answered 301"}
				b.blame(&c, e)
				if c.At == nil {
					continue
				}
				blamed++
				data, err := os.ReadFile(c.At.File)
				if err != nil || c.At.Line < 1 || c.At.Line > strings.Count(string(data), "\n")+1 || c.Line == "" {
					t.Errorf("%s %s %s: %v: %q %v", file, code, layer, c.At, c.Line, err)
				}
			}
		}
	}
	if blamed == 0 {
		t.Error("nobody is ever to blame")
	}
}

// TestBlameEdge finds lines of edge.yaml and kas-config.yaml.
func TestBlameEdge(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "edge", "edge.yaml"), strings.NewReplacer("AGENTS", "127.0.0.1:8150", "API", "127.0.0.1:8154").Replace(edgeFile))
	write(t, filepath.Join(dir, "kas", "kas-config.yaml"), `gitlab: {address: "https://gitlab.example.com", authentication_secret_file: secret}
agent:
  listen: {address: ":8150"}
  kubernetes_api:
    listen: {address: ":8154"}
    url_path_prefix: /k8s-proxy
`)
	b, err := ReadBundle(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		id               ID
		code, host, line string
	}{
		{CheckProxyHeader, codeProxy, labName, "proxyProtocol: v2"},
		{CheckALPN, codeALPN, labName, "alpn: ["},
		{CheckChain, codeChain, labName, "certificateFile"},
		{CheckCertName, codeCertName, labName, "certificateFile"},
		{CheckCertName, codeCertName, "kas.example.org", "serverNames"},
		{CheckProxyPath, codePrefix, labName, "url_path_prefix"},
		{CheckAgentWebSocket, codeWebSocket, labName, "listen: {address"},
	} {
		c := Check{ID: tc.id, Code: tc.code}
		b.blame(&c, &endpoint{host: tc.host, port: "443", agents: "/", proxy: "/k8s-proxy/"})
		if line := blamed(t, &c); !strings.Contains(line, tc.line) {
			t.Errorf("%s: %q, want %q", tc.code, line, tc.line)
		}
	}
}

// TestBlameStream finds lines of a TCP balancer in nginx.
func TestBlameStream(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "nginx", "stream.conf"), `events {}
stream {
    proxy_timeout 10m;
    server {
        listen 443 ssl;
        ssl_certificate x.crt;
        ssl_alpn h2;
        proxy_pass 127.0.0.1:9443;
        proxy_protocol on;
    }
}
`)
	b, err := ReadBundle(dir)
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]string{codeALPN: "ssl_alpn", codeChain: "ssl_certificate", codeGateway: "proxy_pass", codeIdle: "proxy_timeout"} {
		c := Check{Code: code, limit: 10 * time.Minute}
		b.blame(&c, &endpoint{host: labName, port: "443"})
		if line := blamed(t, &c); !strings.Contains(line, want) {
			t.Errorf("%s: %q, want %q", code, line, want)
		}
	}
}

// TestLocation chooses as nginx documents it.
func TestLocation(t *testing.T) {
	t.Parallel()
	f, err := parseNginx("nginx.conf", []byte(`http { server {
location = / { } # exact
location / { } # root
location /a/ { } # prefix
location ^~ /a/b/ { } # final
location ~ \.x$ { } # expression
location ~* \.Y$ { } # blind
} }`))
	if err != nil {
		t.Fatal(err)
	}
	v := &vhost{http: f.Directives[0], server: f.Directives[0].Block.Directives[0]}
	for path, want := range map[string]string{"/": "exact", "/z": "root", "/a/": "prefix", "/a/c.x": "expression", "/a/b/c.x": "final", "/q.y": "blind"} {
		d := v.location(path).scopes[0]
		if d.Comment != nil && strings.TrimSpace(*d.Comment) != want || d.Comment == nil {
			t.Errorf("%s: %v, want %s", path, d.Comment, want)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"10": 10 * time.Millisecond, "10ms": 10 * time.Millisecond, "5s": 5 * time.Second, "2h": 2 * time.Hour, "1d": 24 * time.Hour, "7us": 7 * time.Microsecond} {
		if d, ok := haproxyTime(text); !ok || d != want {
			t.Errorf("haproxy %s: %v %v", text, d, ok)
		}
	}
	for text, want := range map[string]time.Duration{"10": 10 * time.Second, "10ms": 10 * time.Millisecond, "5m": 5 * time.Minute, "1m30s": 90 * time.Second, "1h 5ms": time.Hour + 5*time.Millisecond, "1m5": 65 * time.Second} {
		if d, ok := nginxTime([]string{text}); !ok || d != want {
			t.Errorf("nginx %s: %v %v", text, d, ok)
		}
	}
	for d, want := range map[time.Duration]string{61 * time.Second: "nginx", 30 * time.Second: "GKE", 350 * time.Second: "NLB", 45 * time.Second: ""} {
		if got := nearest(d); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%v: %q", d, got)
		}
	}
}

// FuzzHead reads whatever a server may send.
func FuzzHead(f *testing.F) {
	for _, s := range []string{"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 101 x\r\n\r\n", "HTTP/1.1 100 x\r\n\r\nHTTP/1.1 426 y\r\n\r\n", "\x00\x00\x06\x04\x00\x00\x00\x00\x00", "SSH-2.0", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, _, err := readHead(newReader(data), "GET")
		if err == nil && a == nil {
			t.Error("neither an answer nor an error")
		}
		if _, _, err := readFrame(newReader(data)); err == nil && len(data) < 2 {
			t.Error("a frame out of nothing")
		}
	})
}
