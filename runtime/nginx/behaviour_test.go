package nginx

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"kasgen/runtime/balancer/balancertest"
)

// TestBehaviour runs the same files on the embedded balancer and on nginx.
func TestBehaviour(t *testing.T) {
	t.Parallel()
	pem, roots := balancertest.CombinedPEM(t)
	pages := strings.NewReplacer(
		"PLAIN", balancertest.Answering(t, "plain", false), "OTHER", balancertest.Answering(t, "other", false),
		"FIRST", balancertest.Answering(t, "first", true), "DEAD", balancertest.FreePort(t), "PEM", pem)
	kas, gitlab := balancertest.Hello(t, "kas.example.com", "h2", "http/1.1"), balancertest.Hello(t, "GitLab.Example.com", "http/1.1")
	noName := balancertest.Hello(t, "")
	const byName = `map $ssl_preread_server_name $to { hostnames; kas.example.com a; *.example.com b; }
upstream a { server PLAIN; }
upstream b { server OTHER; }
server { listen BIND; ssl_preread on; preread_timeout 300ms; proxy_half_close on; proxy_pass $to; }`
	const byALPN = `map $ssl_preread_alpn_protocols $to { ~\bh2\b PLAIN; default OTHER; }
server { listen BIND; ssl_preread on; proxy_half_close on; proxy_pass $to; }`
	server := func(s string) string {
		return "server { listen BIND; proxy_half_close on; " + s + " }"
	}
	tests := []struct {
		name, conf string
		send       []string
		want       string
	}{
		{"address", server("proxy_pass PLAIN;"), []string{"x"}, "plain:x"},
		{"upstream", "upstream u { server PLAIN; } " + server("proxy_pass u;"), []string{"x"}, "plain:x"},
		{"by SNI", byName, []string{kas}, "plain:" + kas},
		{"by wildcard", byName, []string{gitlab}, "other:" + gitlab},
		{"hello byte by byte", byName, strings.Split(kas, ""), "plain:" + kas},
		{"no SNI has nowhere to go", byName, []string{noName}, ""},
		{"no hello has nowhere to go", byName, []string{"GET / HTTP/1.0\r\n\r\n"}, ""},
		{"by ALPN", byALPN, []string{kas}, "plain:" + kas},
		{"by other ALPN", byALPN, []string{gitlab}, "other:" + gitlab},
		{"garbage without a hello", byALPN, []string{"GET / HTTP/1.0\r\n\r\n"}, "other:GET / HTTP/1.0\r\n\r\n"},
		{"next upstream", "upstream u { server DEAD; server PLAIN; } " + server("proxy_pass u;"), []string{"x"}, "plain:x"},
		{"no next upstream", "upstream u { server DEAD max_fails=0; server PLAIN backup; } " + server("proxy_next_upstream off; proxy_pass u;"), []string{"x"}, ""},
		{"backup", "upstream u { server PLAIN down; server OTHER backup; } " + server("proxy_pass u;"), []string{"x"}, "other:x"},
		{"hash", "upstream u { hash $remote_addr; server PLAIN; server OTHER weight=3; } " + server("proxy_pass u;"), []string{"x"}, "other:x"},
		{"proxy_protocol out", server("proxy_protocol on; proxy_pass FIRST;"), []string{"x"}, "PROXY TCP4 first:x"},
		{"proxy_protocol in, trusted", "server { listen BIND proxy_protocol; set_real_ip_from 127.0.0.0/8; proxy_half_close on; proxy_protocol on; proxy_pass FIRST; }",
			[]string{"PROXY TCP4 1.2.3.4 1.2.3.5 1 2\r\n", "x"}, "PROXY TCP4 first:x"},
		{"map of the client's address", "map $remote_addr $to { 127.0.0.1 PLAIN; default OTHER; } " + server("proxy_pass $to;"), []string{"x"}, "plain:x"},
		{"client's address from the header", "map $remote_addr $to { 1.2.3.4 PLAIN; default OTHER; } server { listen BIND proxy_protocol; set_real_ip_from 127.0.0.1; proxy_half_close on; proxy_pass $to; }",
			[]string{"PROXY TCP4 1.2.3.4 1.2.3.5 1 2\r\nx"}, "plain:x"},
		{"client's address, nobody trusted", "map $remote_addr $to { 1.2.3.4 PLAIN; default OTHER; } server { listen BIND proxy_protocol; proxy_half_close on; proxy_pass $to; }",
			[]string{"PROXY TCP4 1.2.3.4 1.2.3.5 1 2\r\nx"}, "other:x"},
	}
	engines := map[string]func(testing.TB, string) func(string) string{"embedded": embedded, "nginx": native}
	for engine, run := range engines {
		start := func(t *testing.T, stream string) string {
			bind := balancertest.FreePort(t)
			text := "worker_processes 1;\nevents {}\nstream {\n" + pages.Replace(strings.ReplaceAll(stream, "BIND", bind)) + "\n}\n"
			return run(t, text)(bind)
		}
		for _, tt := range tests {
			t.Run(engine+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				got := balancertest.Send(t, start(t, tt.conf), tt.send...)
				if got == "reset" {
					got = "" // closed with bytes unread
				}
				if got != tt.want {
					t.Errorf("got %.80q, want %.80q", got, tt.want)
				}
			})
		}
		t.Run(engine+"/tls", func(t *testing.T) {
			t.Parallel()
			address := start(t, `map $ssl_alpn_protocol $to { h2 OTHER; default PLAIN; }
server { listen BIND ssl; ssl_certificate PEM; ssl_certificate_key PEM; ssl_alpn http/1.1 h2; proxy_half_close on; proxy_pass $to; }`)
			for _, tt := range []struct {
				offer            []string
				negotiated, want string
			}{
				{[]string{"h2", "http/1.1"}, "http/1.1", "plain:x"},
				{[]string{"h2"}, "h2", "other:x"},
				{nil, "", "plain:x"},
				{[]string{"unknown"}, "", "refused"},
			} {
				c, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: "kas.example.com", NextProtos: tt.offer})
				if err != nil {
					if tt.want != "refused" {
						t.Errorf("%v: %v", tt.offer, err)
					}
					continue
				}
				if s := c.ConnectionState(); s.NegotiatedProtocol != tt.negotiated || s.Version != tls.VersionTLS12 {
					t.Errorf("%v: negotiated %q over %s, want %q", tt.offer, s.NegotiatedProtocol, tls.VersionName(s.Version), tt.negotiated)
				}
				// nginx forwards neither end of a TLS stream: say x, read the answer.
				_ = c.SetDeadline(time.Now().Add(5 * time.Second))
				_, _ = c.Write([]byte("x"))
				got := make([]byte, len(tt.want))
				n, _ := readFull(c, got)
				if string(got[:n]) != tt.want {
					t.Errorf("%v: got %q, want %q", tt.offer, got[:n], tt.want)
				}
				_ = c.Close()
			}
		})
		// Without proxy_half_close, which is nginx's default, a client that
		// ends its direction ends the connection.
		t.Run(engine+"/half-close is off", func(t *testing.T) {
			t.Parallel()
			c, err := net.Dial("tcp", start(t, "server { listen BIND; proxy_pass PLAIN; }"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			got := make([]byte, 6)
			if _, err := readFull(c, got); err != nil {
				t.Fatal(err)
			}
			_ = c.(*net.TCPConn).CloseWrite()
			if n, err := c.Read(got); err == nil {
				t.Errorf("got %q after the end", got[:n])
			}
		})
		t.Run(engine+"/proxy_timeout", func(t *testing.T) {
			t.Parallel()
			c, err := net.Dial("tcp", start(t, "server { listen BIND; proxy_timeout 200ms; proxy_pass PLAIN; }"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			began := time.Now()
			got := make([]byte, 6)
			if _, err := readFull(c, got); err != nil {
				t.Fatal(err)
			}
			if n, err := c.Read(got); err == nil {
				t.Errorf("got %q after the limit", got[:n])
			}
			if took := time.Since(began); took < 150*time.Millisecond || took > 3*time.Second {
				t.Errorf("closed after %v, the file says 200ms", took)
			}
		})
	}
}

func readFull(c net.Conn, b []byte) (int, error) {
	n := 0
	for n < len(b) {
		m, err := c.Read(b[n:])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
