package httpengine_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pires/go-proxyproto"
	"golang.org/x/net/http2"

	"kasgen/runtime/httpengine"
)

// saying answers with what the engine knows of the client.
func saying() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := httpengine.ClientOf(r.Context())
		name := ""
		if r.TLS != nil {
			name = r.TLS.ServerName
		}
		fmt.Fprintf(w, "%s %v %v %v %s %q", r.Proto, c.Source, c.Destination, c.Peer.Addr(), r.RemoteAddr, name)
	})
}

// ask sends a GET over c and returns the body, "" if there is none.
func ask(t *testing.T, c net.Conn, two bool) string {
	t.Helper()
	req, _ := http.NewRequestWithContext(within(t, 10*time.Second), "GET", "http://h/", nil)
	var resp *http.Response
	var err error
	if two {
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		transport := &http.Transport{Protocols: protocols, DialContext: func(context.Context, string, string) (net.Conn, error) { return c, nil }}
		var cc *http.ClientConn
		if cc, err = transport.NewClientConn(within(t, 10*time.Second), "http", "h:0"); err == nil {
			defer cc.Close()
			resp, err = cc.RoundTrip(req)
		}
	} else {
		_ = req.Write(c)
		resp, err = http.ReadResponse(bufio.NewReader(c), req)
	}
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 {
		return resp.Status
	}
	return string(b)
}

func TestServerProtocols(t *testing.T) {
	t.Parallel()
	conf, roots := certificate(t, "h2", "http/1.1")
	tests := map[string]struct {
		options httpengine.ServerOptions
		tls     bool
		offer   []string
		two     bool
		want    string // the protocol
	}{
		"cleartext":                     {options: both(), want: "HTTP/1.1"},
		"cleartext preface":             {options: both(), two: true, want: "HTTP/2.0"},
		"preface, HTTP/1.1 only":        {options: httpengine.ServerOptions{HTTP1: true}, two: true},
		"HTTP/1.1, HTTP/2 only":         {options: httpengine.ServerOptions{HTTP2: true}},
		"ALPN h2":                       {options: both(), tls: true, offer: []string{"h2"}, two: true, want: "HTTP/2.0"},
		"ALPN http/1.1":                 {options: both(), tls: true, offer: []string{"http/1.1"}, want: "HTTP/1.1"},
		"no ALPN":                       {options: both(), tls: true, want: "HTTP/1.1"},
		"no ALPN, preface":              {options: both(), tls: true, two: true},
		"no ALPN, preface, as HAProxy":  {options: httpengine.ServerOptions{HTTP1: true, HTTP2: true, Preface: true}, tls: true, two: true, want: "HTTP/2.0"},
		"ALPN h2, HTTP/1.1":             {options: both(), tls: true, offer: []string{"h2"}},
		"ALPN h2, HTTP/1.1, as HAProxy": {options: httpengine.ServerOptions{HTTP1: true, HTTP2: true, Preface: true}, tls: true, offer: []string{"h2"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := tt.options
			if tt.tls {
				o.TLS = conf
			}
			_, address := serve(t, saying(), o)
			raw := dial(t, address)
			var c net.Conn = raw
			server := ""
			if tt.tls {
				c, server = tls.Client(c, &tls.Config{RootCAs: roots, ServerName: "kas.example.com", NextProtos: tt.offer}), "kas.example.com"
			}
			got := ask(t, c, tt.two)
			want := ""
			if tt.want != "" {
				want = fmt.Sprintf("%s invalid AddrPort invalid AddrPort 127.0.0.1 %s %q", tt.want, raw.LocalAddr(), server)
			}
			if got != want && (want != "" || got != "400 Bad Request") {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestServerProxyHeader(t *testing.T) {
	t.Parallel()
	source, destination := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 443}
	for wanted := range map[int]struct{}{httpengine.AnyProxy: {}, 1: {}, 2: {}} {
		for version := byte(0); version <= 2; version++ {
			for _, two := range []bool{false, true} {
				t.Run(fmt.Sprint(wanted, version, two), func(t *testing.T) {
					t.Parallel()
					o := both()
					o.Proxy, o.Handshake = wanted, time.Second
					_, address := serve(t, saying(), o)
					c := dial(t, address)
					proto := "HTTP/1.1"
					if two {
						proto = "HTTP/2.0"
					}
					want := ""
					if version > 0 {
						if _, err := proxyproto.HeaderProxyFromAddrs(version, source, destination).WriteTo(c); err != nil {
							t.Fatal(err)
						}
						if wanted == int(version) || wanted == httpengine.AnyProxy {
							want = proto + ` 192.0.2.1:1 192.0.2.2:443 127.0.0.1 192.0.2.1:1 ""`
						}
					}
					if got := ask(t, c, two); got != want {
						t.Errorf("got %q, want %q", got, want)
					}
				})
			}
		}
	}
}

// TestServerProxyHeaderOfNobody is a balancer that speaks for itself.
func TestServerProxyHeaderOfNobody(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]string{
		"v1 unknown": "PROXY UNKNOWN\r\n", "v2 local": "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00",
	} {
		for _, two := range []bool{false, true} {
			t.Run(fmt.Sprint(name, two), func(t *testing.T) {
				t.Parallel()
				o := both()
				o.Proxy = httpengine.AnyProxy
				_, address := serve(t, saying(), o)
				c := dial(t, address)
				io.WriteString(c, header)
				if got := ask(t, c, two); got == "" {
					t.Error("no answer")
				}
			})
		}
	}
}

// TestSettle retires a server with a request, a stream and a connection that
// has sent nothing: all are served to their end.
func TestSettle(t *testing.T) {
	t.Parallel()
	s, front := serve(t, http1To(to(echoing(t)), httpengine.HTTP1Options{}), both())
	stream := upgraded(t, front, nil)
	idle := dial(t, front)
	late := dial(t, front)
	io.WriteString(late, "GET / HTTP/1.1\r\n")
	if got := ask(t, idle, false); got != "502 Bad Gateway" { // the upstream answers 101 to everything
		t.Errorf("got %q", got)
	}
	s.Retire()
	settled := make(chan error, 1)
	go func() { settled <- s.Settle(context.Background()) }()
	if _, err := net.Dial("tcp", front); err == nil {
		t.Error("a retired server still accepts")
	}
	io.WriteString(late, "Host: h\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(late), nil); err != nil || resp.StatusCode != http.StatusBadGateway {
		t.Errorf("a request that had begun: %v, %v", resp, err)
	}
	b := make([]byte, 1)
	io.WriteString(stream, "y")
	if _, err := io.ReadFull(stream, b); err != nil || b[0] != 'y' {
		t.Errorf("a stream of a retired server: %q, %v", b, err)
	}
	select {
	case err := <-settled:
		t.Fatalf("settled with a stream open: %v", err)
	default:
	}
	stream.Close()
	if err := <-settled; err != nil {
		t.Error(err)
	}
}

// TestLate tells a client whose head does not come, and only that one.
func TestLate(t *testing.T) {
	t.Parallel()
	o := both()
	o.Header, o.Idle, o.Late = short, short, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
	conf, roots := certificate(t)
	for name, tt := range map[string]struct {
		send string
		tls  bool
		want []int
	}{
		"nothing": {"", false, []int{408}}, "half": {"GET / HT", false, []int{408}}, "line by line": {"GET / HTTP/1.1\r\nHost: h\r\n", false, []int{408}},
		"preface cut": {"PRI * HT", false, []int{408}}, "tls": {"GET", true, []int{408}},
		"idle after a request": {plainGet, false, []int{200}},
		"late body":            {"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n", false, []int{200}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := o
			if tt.tls {
				o.TLS = conf
			}
			_, address := serve(t, saying(), o)
			var c net.Conn = dial(t, address)
			if tt.tls {
				c = tls.Client(c, &tls.Config{RootCAs: roots, ServerName: "kas.example.com"})
			}
			io.WriteString(c, tt.send)
			r := bufio.NewReader(c)
			var got []int
			for {
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					break
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				got = append(got, resp.StatusCode)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestHalfClose answers who has ended its direction where that is no leaving,
// and serves what came before the end.
func TestHalfClose(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{true, false} {
		t.Run(fmt.Sprint(on), func(t *testing.T) {
			t.Parallel()
			o := both()
			o.HalfClose = on
			left := make(chan bool, 1)
			_, address := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				select {
				case <-r.Context().Done():
					left <- true
				case <-time.After(short):
					left <- false
				}
			}), o)
			c := dial(t, address)
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got := <-left; got == on {
				t.Errorf("the client is taken for gone: %t", got)
			}
			if b, err := io.ReadAll(c); on && (err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 200 ")) {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
}

// TestRefused has the caller's words for a head that cannot be read, and for no
// other answer.
func TestRefused(t *testing.T) {
	t.Parallel()
	o := both()
	o.Refused = func(status int) string {
		return fmt.Sprintf("HTTP/1.1 %d Mine\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status)
	}
	for send, want := range map[string][]string{
		"what is this\r\n\r\n":                                         {"400 Mine"},
		"GET / HTTP/9.1\r\nHost: h\r\n\r\n":                            {"505 Mine"},
		plainGet + "GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n":        {"200 OK", "400 Mine"},
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n":       {"200 OK"},
		"GET /{x} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: y\r\n\r\n": {"501 Mine"},
	} {
		t.Run(send, func(t *testing.T) {
			t.Parallel()
			_, address := serve(t, saying(), o)
			c := dial(t, address)
			r := bufio.NewReader(c)
			var got []string
			for piece := range strings.SplitAfterSeq(send, "\r\n\r\n") {
				if piece == "" {
					continue
				}
				io.WriteString(c, piece)
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				got = append(got, resp.Status)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRefusedHTTP2 has the caller's words for HTTP/2 where it is not spoken, which
// net/http takes for a request: it reads on while that is answered.
func TestRefusedHTTP2(t *testing.T) {
	t.Parallel()
	o := both()
	o.HTTP2 = false
	o.Refused = func(status int) string {
		return fmt.Sprintf("HTTP/1.1 %d Mine\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status)
	}
	_, address := serve(t, saying(), o)
	c := dial(t, address)
	io.WriteString(c, http2.ClientPreface)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Status != "400 Mine" {
		t.Error(resp.Status)
	}
}

// TestShutdown waits for a request and for an upgraded stream, and ends them
// when the time is over.
func TestShutdown(t *testing.T) {
	t.Parallel()
	more := make(chan struct{})
	address := scripted(t, func(c *net.TCPConn, r *bufio.Reader, req *http.Request) {
		if req.Header.Get("Upgrade") != "" {
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
			_, _ = io.Copy(c, r)
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")
		<-more
		io.WriteString(c, "x")
	})
	s, front := serve(t, http1To(to(address), httpengine.HTTP1Options{}), both())
	stream := upgraded(t, front, nil)
	request := dial(t, front)
	io.WriteString(request, plainGet)
	answers := bufio.NewReader(request)
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Retire()
	if _, err := net.Dial("tcp", front); err == nil {
		t.Error("a retired server still accepts")
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(ctx) }()
	close(more)
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "x" {
		t.Errorf("a request during the shutdown: %q, %v", b, err)
	}
	b := make([]byte, 1)
	io.WriteString(stream, "y")
	if _, err := io.ReadFull(stream, b); err != nil || b[0] != 'y' {
		t.Errorf("a stream during the shutdown: %q, %v", b, err)
	}
	select {
	case err := <-done:
		t.Fatalf("the shutdown ended with a stream open: %v", err)
	default:
	}
	cancel()
	<-done
	if _, err := stream.Read(b); err == nil {
		t.Error("the stream outlived its server")
	}
}
