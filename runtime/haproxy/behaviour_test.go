package haproxy

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"kasgen/runtime/balancer/balancertest"
)

const head = `defaults
    mode tcp
    timeout connect 1s
    timeout client 2s
    timeout server 2s
`

// TestBehaviour runs the same files on the embedded balancer and on HAProxy.
func TestBehaviour(t *testing.T) {
	t.Parallel()
	plain := balancertest.Answering(t, "plain", false)
	other := balancertest.Answering(t, "other", false)
	first := balancertest.Answering(t, "first", true)
	dead := balancertest.FreePort(t)
	pem, roots := balancertest.CombinedPEM(t)
	pages := map[string]string{"PLAIN": plain, "OTHER": other, "FIRST": first, "DEAD": dead, "PEM": pem}

	kas, gitlab := balancertest.Hello(t, "kas.example.com", "h2"), balancertest.Hello(t, "GitLab.example.com", "http/1.1")
	noName := balancertest.Hello(t, "")
	echoed := func(name, s string) string { return name + ":" + s }
	const route = `frontend f
    bind BIND
    tcp-request inspect-delay 300ms
    tcp-request content accept if { req.ssl_hello_type 1 }
    tcp-request content reject
    use_backend a if { req.ssl_sni -i kas.example.com }
    use_backend b if { req.ssl_sni -i -m end .example.com } { req.ssl_alpn http/1.1 }
backend a
    server s PLAIN
backend b
    server s OTHER
`
	// Every case sends something: HAProxy may give up a client that ended
	// before its server was reached, and may not.
	tests := []struct {
		name, conf string
		send       []string
		want       string
	}{
		{"plain listen", "listen l\n bind BIND\n server s PLAIN\n", []string{"x"}, "plain:x"},
		{"by SNI", route, []string{kas}, echoed("plain", kas)},
		{"by SNI suffix and ALPN", route, []string{gitlab}, echoed("other", gitlab)},
		{"hello byte by byte", route, strings.Split(kas, ""), echoed("plain", kas)},
		{"no SNI has no backend", route, []string{noName}, ""},
		{"no hello is rejected", route, []string{"GET / HTTP/1.0\r\n\r\n"}, ""},
		{"payload", "frontend f\n bind BIND\n tcp-request inspect-delay 1s\n tcp-request content accept if { req.len ge 4 }\n use_backend b if { req.payload(0,4) -m str \"PRI \" }\n default_backend a\nbackend a\n server s PLAIN\nbackend b\n server s OTHER\n",
			[]string{"P", "RI * "}, "other:PRI * "},
		{"payload does not match", "frontend f\n bind BIND\n tcp-request inspect-delay 1s\n tcp-request content accept if { req.len ge 4 }\n use_backend b if { req.payload(0,4) -m str \"PRI \" }\n default_backend a\nbackend a\n server s PLAIN\nbackend b\n server s OTHER\n",
			[]string{"PRIx"}, "plain:PRIx"},
		{"silent until WAIT_END", "frontend f\n bind BIND\n tcp-request inspect-delay 100ms\n acl any req.len gt 0\n tcp-request content reject if !any WAIT_END\n default_backend a\nbackend a\n server s PLAIN\n", nil, ""},
		{"or and negation", "frontend f\n bind BIND\n tcp-request inspect-delay 1s\n acl x req.len gt 2\n tcp-request content accept if x or !x\n use_backend b if !x || FALSE\n default_backend a\nbackend a\n server s PLAIN\nbackend b\n server s OTHER\n", []string{"abc"}, "plain:abc"},
		{"unless", "frontend f\n bind BIND\n tcp-request inspect-delay 1s\n tcp-request content reject unless { req.len gt 2 }\n default_backend a\nbackend a\n server s PLAIN\n", []string{"abc"}, "plain:abc"},
		{"send-proxy", "listen l\n bind BIND\n server s FIRST send-proxy\n", []string{"x"}, "PROXY TCP4 first:x"},
		{"accept-proxy", "listen l\n bind BIND accept-proxy\n server s FIRST send-proxy\n", []string{"PROXY TCP6 ::1 ::2 1 2\r\n", "x"}, "PROXY TCP6 first:x"},
		{"accept-proxy without a header", "listen l\n bind BIND accept-proxy\n server s PLAIN\n", []string{"GET / HTTP/1.0\r\n\r\n"}, "reset"},
		{"redispatch", "listen l\n bind BIND\n retries 1\n option redispatch\n server d DEAD\n server s PLAIN\n", []string{"x"}, "plain:x"},
		{"dead", "listen l\n bind BIND\n retries 0\n server d DEAD\n", []string{"x"}, ""},
		{"backup", "listen l\n bind BIND\n server d PLAIN disabled\n server s OTHER backup\n", []string{"x"}, "other:x"},
		{"weight 0", "listen l\n bind BIND\n server d PLAIN weight 0\n server s OTHER\n", []string{"x"}, "other:x"},
		{"no server", "listen l\n bind BIND\n server d PLAIN disabled\n", []string{"x"}, ""},
	}
	engines := map[string]func(testing.TB, string) func(string) string{"embedded": embedded, "haproxy": native}
	for engine, run := range engines {
		for _, tt := range tests {
			t.Run(engine+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				bind := balancertest.FreePort(t)
				text := head + strings.ReplaceAll(tt.conf, "BIND", bind)
				for k, v := range pages {
					text = strings.ReplaceAll(text, k, v)
				}
				got := balancertest.Send(t, run(t, text)(bind), tt.send...)
				if got == "reset" && tt.want == "" {
					got = "" // a connection closed with bytes unread is reset, or not, as time has it
				}
				if got == "" && tt.want == "reset" {
					got = "reset"
				}
				if got != tt.want {
					t.Errorf("got %.80q, want %.80q", got, tt.want)
				}
			})
		}
		t.Run(engine+"/tls", func(t *testing.T) {
			t.Parallel()
			bind := balancertest.FreePort(t)
			text := strings.NewReplacer("BIND", bind, "PLAIN", plain, "OTHER", other, "PEM", pem).Replace(head + `frontend f
    bind BIND ssl crt PEM alpn http/1.1,h2
    tcp-request inspect-delay 1s
    tcp-request content accept if { req.len ge 4 }
    use_backend b if { ssl_fc_alpn h2 } { req.payload(0,4) -m str "PRI " }
    default_backend a
backend a
    server s PLAIN
backend b
    server s OTHER
`)
			address := run(t, text)(bind)
			for _, tt := range []struct {
				offer      []string
				negotiated string
				send, want string
			}{
				{[]string{"h2", "http/1.1"}, "http/1.1", "GET /", "plain:GET /"},
				{[]string{"h2"}, "h2", "PRI *", "other:PRI *"},
				{[]string{"h2"}, "h2", "GET /", "plain:GET /"},
				{[]string{"unknown"}, "", "GET /", "plain:GET /"},
				{nil, "", "PRI *", "plain:PRI *"},
			} {
				c, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: "kas.example.com", NextProtos: tt.offer})
				if err != nil {
					t.Errorf("%v: %v", tt.offer, err)
					continue
				}
				if got := c.ConnectionState().NegotiatedProtocol; got != tt.negotiated {
					t.Errorf("%v: negotiated %q, want %q", tt.offer, got, tt.negotiated)
				}
				if got := balancertest.Exchange(t, c, tt.send); got != tt.want {
					t.Errorf("%v: got %q, want %q", tt.offer, got, tt.want)
				}
				_ = c.Close()
			}
		})
	}
}

// TestFileDecides changes one line at a time and sees another behaviour.
func TestFileDecides(t *testing.T) {
	t.Parallel()
	a, b := balancertest.Answering(t, "a", false), balancertest.Answering(t, "b", false)
	text := head + "listen l\n bind 127.0.0.1:7001\n server s " + a + "\n"
	if got := balancertest.Send(t, embedded(t, text)("127.0.0.1:7001"), "x"); got != "a:x" {
		t.Errorf("got %q", got)
	}
	if got := balancertest.Send(t, embedded(t, strings.Replace(text, a, b, 1))("127.0.0.1:7001"), "x"); got != "b:x" {
		t.Errorf("another server in the file: got %q", got)
	}
	if got := balancertest.Send(t, embedded(t, strings.Replace(text, "7001", "7002", 1))("127.0.0.1:7002"), "x"); got != "a:x" {
		t.Errorf("another port in the file: got %q", got)
	}
	// The server keeps quiet; the file says for how long that is endured.
	short := strings.Replace(text, "timeout client 2s", "timeout client 50", 1)
	c, err := net.Dial("tcp", embedded(t, short)("127.0.0.1:7001"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 16)
	n, err := c.Read(buf)
	if err != nil || string(buf[:n]) != "a:" {
		t.Fatalf("got %q, %v", buf[:n], err)
	}
	if n, err := c.Read(buf); err == nil {
		t.Errorf("a silent client got %q after its limit", buf[:n])
	}
}
