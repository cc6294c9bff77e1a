package nginx

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kasgen/runtime/balancer/balancertest"
)

// pems are certificates by the name that they are for, and who trusts them.
func pems(t testing.TB, n int) (replace []string, roots []*x509.CertPool) {
	t.Helper()
	for i := range n {
		pem, pool := balancertest.CombinedPEM(t)
		chmodUp(t, pemDir(pem))
		replace, roots = append(replace, fmt.Sprintf("PEM%d", i), pem), append(roots, pool)
	}
	return replace, roots
}

func TestWebTLS(t *testing.T) {
	t.Parallel()
	replace, roots := pems(t, 2)
	w := newWeb(t, `
ssl_certificate PEM0; ssl_certificate_key PEM0;
server { listen BIND0 ssl http2; server_name kas.example.com; ssl_protocols TLSv1.2 TLSv1.3; return 200 "kas $ssl_server_name $ssl_protocol $server_protocol $scheme $http2 $host $http_host\n"; }
server { listen BIND0 ssl http2; server_name other.example.com; ssl_certificate PEM1; ssl_certificate_key PEM1; return 200 "other $ssl_server_name $host\n"; }
server { listen BIND0 ssl; server_name named.example.com; location / { return 301 /x; } location /a/ { proxy_pass http://127.0.0.1:1; } }
server { listen BIND1 ssl; server_name kas.example.com; ssl_protocols TLSv1.3; return 200 one; }
server { listen BIND1 ssl default_server http2; ssl_reject_handshake on; }
server { listen BIND2 ssl; server_name kas.example.com; return 200 "plain $ssl_protocol"; }
server { listen BIND3 http2; return 200 "h2c $server_protocol $http_host"; }
server { listen BIND4 ssl proxy_protocol; set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol; return 200 "$remote_addr $https"; }
`, replace...)
	type dialled struct {
		name string
		bind string
		conf *tls.Config
		text string // sent after the handshake
	}
	base := func(name string, alpn ...string) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, ServerName: name, NextProtos: alpn}
	}
	only := func(c *tls.Config, low, high uint16) *tls.Config {
		c.MinVersion, c.MaxVersion = low, high
		return c
	}
	tests := []dialled{
		{"kas", "BIND0", base("kas.example.com"), to("kas.example.com", "/")},
		{"SNI other", "BIND0", base("other.example.com"), to("other.example.com", "/")},
		{"SNI kas, host other", "BIND0", base("kas.example.com"), to("other.example.com", "/")},
		{"SNI other, host unknown", "BIND0", base("other.example.com"), to("unknown.example.com", "/")},
		{"SNI other, no host", "BIND0", base("other.example.com"), "GET / HTTP/1.0\r\n\r\n"},
		{"SNI unknown", "BIND0", base("unknown.example.com"), to("unknown.example.com", "/")},
		{"no SNI", "BIND0", base(""), to("kas.example.com", "/")},
		{"SNI capitals", "BIND0", base("OTHER.example.com"), to("Other.Example.com", "/")},
		{"redirect", "BIND0", base("named.example.com"), to("named.example.com", "/")},
		{"slash", "BIND0", base("named.example.com"), to("named.example.com", "/a?b")},
		{"TLS 1.2", "BIND0", only(base("kas.example.com"), tls.VersionTLS12, tls.VersionTLS12), to("kas.example.com", "/")},
		{"TLS 1.3", "BIND0", only(base("kas.example.com"), tls.VersionTLS13, tls.VersionTLS13), to("kas.example.com", "/")},
		{"ALPN http/1.1", "BIND0", base("kas.example.com", "http/1.1"), to("kas.example.com", "/")},
		{"ALPN both", "BIND0", base("kas.example.com", "http/1.1", "h2"), ""},
		{"ALPN unknown", "BIND0", base("kas.example.com", "spdy/3"), ""},
		{"ALPN h2 without http2", "BIND2", base("kas.example.com", "h2"), ""},
		{"ALPN both without http2", "BIND2", base("kas.example.com", "h2", "http/1.1"), to("kas.example.com", "/")},
		{"rejected name", "BIND1", base("unknown.example.com"), to("kas.example.com", "/")},
		{"rejected without a name", "BIND1", base(""), to("kas.example.com", "/")},
		{"the default server's versions", "BIND1", base("kas.example.com"), to("kas.example.com", "/")},
		{"the default server's versions, TLS 1.3", "BIND1", only(base("kas.example.com"), tls.VersionTLS13, tls.VersionTLS13), to("kas.example.com", "/")},
		{"default versions", "BIND2", base("kas.example.com"), to("kas.example.com", "/")},
		{"default versions, TLS 1.3", "BIND2", only(base("kas.example.com"), tls.VersionTLS13, tls.VersionTLS13), to("kas.example.com", "/")},
	}
	want, got := w.run(t, native), w.run(t, embedded)
	say := func(t *testing.T, r *running, d dialled) string {
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", r.address(d.bind), d.conf.Clone())
		if err != nil {
			return "refused: " + strings.TrimPrefix(err.Error(), "remote error: ")
		}
		defer c.Close()
		state := c.ConnectionState()
		who := "nobody"
		for i, pool := range roots {
			if _, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool}); err == nil {
				who = fmt.Sprint("certificate ", i)
			}
		}
		said := fmt.Sprintf("%s %s %q\n", who, tls.VersionName(state.Version), state.NegotiatedProtocol)
		if d.text == "" {
			return said
		}
		return said + r.neutral(exchange(t, c, d.text))
	}
	for _, d := range tests {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(say(t, want, d), say(t, got, d)); diff != "" {
				t.Errorf("the embedded role differs (-nginx +embedded):\n%s", diff)
			}
		})
	}
	t.Run("PROXY before TLS", func(t *testing.T) {
		t.Parallel()
		var said []string
		for _, r := range []*running{want, got} {
			c, err := net.Dial("tcp", r.address("BIND4"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, _ = io.WriteString(c, "PROXY TCP4 1.2.3.4 5.6.7.8 90 91\r\n")
			said = append(said, exchange(t, tls.Client(c, base("kas.example.com")), get("/")))
		}
		if diff := cmp.Diff(said[0], said[1]); diff != "" || !strings.Contains(said[0], "1.2.3.4 on") {
			t.Errorf("(-nginx +embedded):\n%s\n%s", diff, said[0])
		}
	})
	t.Run("cleartext HTTP/2", func(t *testing.T) {
		t.Parallel()
		for _, host := range []string{"kas.example.com", "a..b", "a.example.com:99"} {
			var said []string
			for _, r := range []*running{want, got} {
				said = append(said, ask(t, h2c(r.address("BIND3")), host, r.address("BIND3"), "/"))
			}
			if diff := cmp.Diff(said[0], said[1]); diff != "" {
				t.Errorf("%s (-nginx +embedded):\n%s", host, diff)
			}
		}
	})
	t.Run("HTTP/1.1 where HTTP/2 alone is spoken", func(t *testing.T) {
		t.Parallel()
		for _, r := range []*running{want, got} {
			if said := r.send(t, "BIND3", get("/")); said != "closed\n" {
				t.Errorf("%q", said)
			}
		}
	})
}

// h2c is a client of HTTP/2 in cleartext.
func h2c(address string) *http.Client {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return &http.Client{Timeout: 8 * time.Second, Transport: &http.Transport{
		Protocols: p, DisableCompression: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		},
	}}
}

// ask is a GET in words.
func ask(t testing.TB, c *http.Client, host, address, path string) string {
	t.Helper()
	defer c.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := c.Do(req)
	if err != nil {
		return "failed"
	}
	return words(resp)
}
