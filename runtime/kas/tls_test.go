package kas

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"kasgen/internal/kasrpc/agent"
	"kasgen/internal/kasrpc/serverinfo"
	"kasgen/runtime/host"
	"kasgen/runtime/state"
)

// certificate is one for localhost, its key, and who trusts it.
func certificate(t *testing.T) (cert, key []byte, roots *x509.CertPool) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "kas.crt")
	if _, err := state.Ensure([]state.Item{{Path: filepath.Join(dir, "ca.crt"), Kind: state.CA}, {Path: path, Kind: state.Certificate, Names: []string{"localhost"}}}); err != nil {
		t.Fatal(err)
	}
	read := func(path string) []byte {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(read(filepath.Join(dir, "ca.crt")))
	return read(path), read(state.KeyPath(path)), roots
}

// inClear is what comes for bytes without TLS before the connection ends.
func inClear(t *testing.T, address, send string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, send); err != nil {
		t.Fatal(err)
	}
	said, _ := io.ReadAll(c) // it may be reset, once it has been told or not
	return string(said)
}

// TestTLSEverywhere: each listener speaks TLS if the file names a certificate,
// and then nothing else.
func TestTLSEverywhere(t *testing.T) {
	t.Parallel()
	gitlab := httptest.NewServer(gitlabHandler("null"))
	t.Cleanup(gitlab.Close)
	cert, key, roots := certificate(t)
	const pair = "certificate_file: crt, key_file: key"
	k := startFile(t, fmt.Sprintf(`
gitlab: {address: %q, authentication_secret_file: secret}
agent:
  listen: {address: "127.0.0.1:0", websocket: true, %[2]s}
  kubernetes_api: {listen: {address: "localhost:0", %[2]s}, url_path_prefix: /, websocket_token_secret_file: websocket}
observability: {listen: {address: "[::1]:0", %[2]s}}
api: {listen: {address: "127.0.0.1:1", authentication_secret_file: secret, %[2]s}}
private_api: {listen: {address: "127.0.0.1:2", authentication_secret_file: secret, %[2]s}}
`, gitlab.URL, pair), map[string][]byte{"crt": cert, "key": key, "websocket": []byte(base64.StdEncoding.EncodeToString(make([]byte, 72)))}, nil)

	client := func() *tls.Config { return &tls.Config{RootCAs: roots, ServerName: "localhost"} }
	for name, tt := range map[string]struct {
		address, path string
		code          int
		alpn          string // of what http/1.1 and h2 were offered
	}{
		"agents":        {k.agents, "/", http.StatusUpgradeRequired, ""},
		"proxy":         {k.api, "/version", http.StatusUnauthorized, "http/1.1"},
		"observability": {k.observe, "/liveness", http.StatusOK, "http/1.1"},
	} {
		tr := &http.Transport{TLSClientConfig: client(), DisableKeepAlives: true}
		req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+tt.address+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != tt.code {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, tt.code)
		}
		if tt.alpn != "" {
			offer := client()
			offer.NextProtos = []string{"h2", "http/1.1"}
			c, err := tls.Dial("tcp", tt.address, offer)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.ConnectionState().NegotiatedProtocol; got != tt.alpn {
				t.Errorf("%s: ALPN %q, want %q", name, got, tt.alpn)
			}
			c.Close()
		}
		// Cleartext gets net/http's word, also a request that is longer than
		// what is read of it.
		for _, body := range []string{"", strings.Repeat("x", 32<<10)} {
			said := inClear(t, tt.address, fmt.Sprintf("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
			if said != "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n" {
				t.Errorf("%s answers %d bytes in cleartext: %q", name, len(body), said)
			}
		}
	}
	// Who speaks gRPC gets none, nor does who speaks to a server of gRPC.
	only := startFile(t, fmt.Sprintf(`
gitlab: {address: %q, authentication_secret_file: secret}
agent: {listen: {address: "127.0.0.1:0", %s}, kubernetes_api: {listen: {address: "localhost:0"}}}
observability: {listen: {address: "[::1]:0"}}
api: {listen: {address: "127.0.0.1:1", authentication_secret_file: secret}}
private_api: {listen: {address: "127.0.0.1:2", authentication_secret_file: secret}}
`, gitlab.URL, pair), map[string][]byte{"crt": cert, "key": key}, nil)
	for _, tt := range [][2]string{{only.agents, "GET / HTTP/1.1\r\n\r\n"}, {k.agents, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}, {k.internal, "GET / HTTP/1.1\r\n\r\n"}, {k.private, "GET / HTTP/1.1\r\n\r\n"}} {
		if said := inClear(t, tt[0], tt[1]); said != "" {
			t.Errorf("%q in cleartext is answered %q", tt[1], said)
		}
	}
	dial := func(address string) *grpc.ClientConn {
		conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(client())))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	ctx := bearing(t.Context(), signed(t, make([]byte, 32), nil))
	if _, err := serverinfo.NewServerInfoClient(dial(k.internal)).GetServerInfo(ctx, &serverinfo.GetServerInfoRequest{}); err != nil {
		t.Errorf("api: %v", err)
	}
	if _, err := serverinfo.NewServerInfoClient(dial(k.private)).GetServerInfo(ctx, &serverinfo.GetServerInfoRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("private_api: %v", err)
	}
	if _, err := agent.NewAgentRegistrarClient(dial(k.agents)).Register(bearing(t.Context(), agentToken), &agent.RegisterRequest{PodId: 1}); err != nil {
		t.Errorf("agents, gRPC: %v", err)
	}
}

// TestFilesThatAreNone: New says which file of which section is not what it
// must be, and opens nothing.
func TestFilesThatAreNone(t *testing.T) {
	t.Parallel()
	cert, key, _ := certificate(t)
	_, otherKey, _ := certificate(t)
	secret := func(n int) []byte { return []byte(base64.StdEncoding.EncodeToString(make([]byte, n)) + "\n") }
	const base = `
gitlab: {address: "https://gitlab.example.com", authentication_secret_file: g%s}
agent: {listen: {address: "127.0.0.1:0"%s}, kubernetes_api: {listen: {address: "127.0.0.1:0"%s}%s}}
observability: {listen: {address: "127.0.0.1:0"%s}}
api: {listen: {address: "127.0.0.1:0", authentication_secret_file: g%s}}
private_api: {listen: {address: "127.0.0.1:0", authentication_secret_file: p%s}}
`
	const tlsKeys = ", certificate_file: crt, key_file: key"
	for name, tt := range map[string]struct {
		at    int
		more  string
		files map[string][]byte
		want  []string
	}{
		"CA":                 {0, ", ca_certificate_file: crt", map[string][]byte{"crt": []byte("x")}, []string{"gitlab.ca_certificate_file", "no certificate"}},
		"agents":             {1, tlsKeys, map[string][]byte{"crt": cert, "key": otherKey}, []string{"agent.listen", "private key does not match"}},
		"proxy":              {2, tlsKeys, map[string][]byte{"crt": key, "key": key}, []string{"agent.kubernetes_api.listen"}},
		"token, short":       {3, ", websocket_token_secret_file: w", map[string][]byte{"w": secret(63)}, []string{"websocket_token_secret_file", "63 bytes"}},
		"token, long":        {3, ", websocket_token_secret_file: w", map[string][]byte{"w": secret(73)}, []string{"websocket_token_secret_file", "73 bytes"}},
		"token, no base64":   {3, ", websocket_token_secret_file: w", map[string][]byte{"w": []byte("!")}, []string{"websocket_token_secret_file", "base64"}},
		"token, not there":   {3, ", websocket_token_secret_file: w", nil, []string{"websocket_token_secret_file", "not exist"}},
		"observability":      {4, tlsKeys, map[string][]byte{"crt": cert}, []string{"observability.listen", "not exist"}},
		"api":                {5, tlsKeys, map[string][]byte{"key": key}, []string{"api.listen", "not exist"}},
		"private_api":        {6, tlsKeys, map[string][]byte{"crt": cert, "key": otherKey}, []string{"private_api.listen", "does not match"}},
		"private_api secret": {6, "", map[string][]byte{"p": {}}, []string{"private_api.listen.authentication_secret_file", "empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			more := make([]any, 7)
			for i := range more {
				more[i] = ""
			}
			more[tt.at] = tt.more
			c, err := Load("kas-config.yaml", fmt.Appendf(nil, base, more...))
			if err != nil {
				t.Fatal(err)
			}
			h := host.Machine(slog.New(slog.DiscardHandler))
			h.ReadFile = func(path string) ([]byte, error) {
				if data, ok := tt.files[path]; ok {
					return data, nil
				}
				if path == "g" || path == "p" {
					return secret(32), nil
				}
				return nil, os.ErrNotExist
			}
			s, err := c.New(t.Context(), h, "test")
			if err == nil {
				s.Close()
				t.Fatal("it starts")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
		})
	}
}
