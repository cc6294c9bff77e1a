package haproxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"kasgen/runtime/balancer/balancertest"
)

// run2 is run for a file with a second frontend, which listens on INNER. The
// embedded engine moves listeners, so a server cannot lead there by its address
// in the file: there the two are two files.
func (l *lab) run2(t *testing.T, start func(testing.TB, string) func(string) string, outer, inner string) string {
	l2 := &lab{pages: map[string]string{}, creds: l.creds, tls: l.tls}
	for k, v := range l.pages {
		l2.pages[k] = v
	}
	l2.pages["@INNER"] = l.run(t, start, inner)
	return l2.run(t, start, outer)
}

// TestWebBehindTCP is topology B: one port in mode tcp chooses by the name, and
// leads to a frontend in mode http with PROXY v2.
func TestWebBehindTCP(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	const outer = `defaults
    mode tcp
    timeout connect 1s
    timeout client 20s
    timeout server 20s
frontend kas
    bind BIND%s
    use_backend grpc if { %s -i KAS.example.com }
    default_backend edge
backend grpc
    server s @INNER send-proxy-v2
backend edge
    server s @GARBAGE
`
	const inner = `frontend grpc
    bind BIND accept-proxy %s
    http-request set-header X-Added %%[src]
    http-request deny deny_status 404 unless { path_beg /lab. }
    default_backend k
backend k
    server s @GRPC proto h2
`
	bothEngines(t, func(t *testing.T, start func(testing.TB, string) func(string) string) {
		for name, tt := range map[string]struct{ outer, inner string }{
			"TLS ends behind": {
				strings.Replace(fmt.Sprintf(outer, "", "req.ssl_sni"), "    use_backend", "    tcp-request inspect-delay 5s\n    tcp-request content accept if { req.ssl_hello_type 1 }\n    use_backend", 1),
				fmt.Sprintf(inner, "ssl crt @PEM alpn h2"),
			},
			"TLS ends in front": {fmt.Sprintf(outer, " ssl crt @PEM alpn http/1.1,h2", "ssl_fc_sni"), fmt.Sprintf(inner, "proto h2")},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				address := l.run2(t, start, tt.outer, webHead+tt.inner)
				c := grpcConn(t, address, l.creds, nil)
				var tail metadata.MD
				got := new(wrapperspb.BytesValue)
				if err := c.Invoke(soon(t), "/lab.Echo/Echo", wrapperspb.Bytes([]byte("x")), got, grpc.Trailer(&tail)); err != nil {
					t.Fatal(err)
				}
				if strings.Join(tail["x-tail"], ";") != "127.0.0.1" {
					t.Errorf("the client's address did not come: %v", tail)
				}
				// Another name goes elsewhere.
				conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
				if err != nil {
					return // passed through to a server that speaks no TLS
				}
				defer conn.Close()
				b := make([]byte, 8)
				if n, err := io.ReadFull(conn, b); err != nil || string(b) != "garbage:" {
					t.Errorf("no name: %q, %v", b[:n], err)
				}
			})
		}
	})
}

// TestWebUpgrade relays a WebSocket's bytes both ways.
func TestWebUpgrade(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				if !strings.EqualFold(req.Header.Get("Connection"), "upgrade") || req.Header.Get("Upgrade") == "h2c" {
					io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
					return
				}
				io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: "+req.Header.Get("Upgrade")+"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nfirst;")
				_, _ = io.Copy(c, r)
			}()
		}
	}()
	l := newLab(t)
	l.pages["@UPGRADE"] = ln.Addr().String()
	bothEngines(t, func(t *testing.T, start func(testing.TB, string) func(string) string) {
		address := l.run(t, start, webHead+"listen f\n bind BIND\n timeout tunnel 400ms\n server s @UPGRADE\n")
		for token, status := range map[string]int{"websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==": 101, "SPDY/3.1": 101, "websocket": 400} {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(15 * time.Second))
			fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", token)
			r := bufio.NewReader(c)
			resp, err := http.ReadResponse(r, nil)
			if err != nil || resp.StatusCode != status {
				t.Fatalf("%s: %v, %v", token, resp, err)
			}
			if status != 101 {
				continue
			}
			io.WriteString(c, "more")
			b := make([]byte, len("first;more"))
			if _, err := io.ReadFull(r, b); err != nil || string(b) != "first;more" {
				t.Errorf("%s: %q, %v", token, b, err)
			}
			// timeout tunnel ends what is silent.
			if n, err := r.Read(b); err == nil {
				t.Errorf("%s: %q came", token, b[:n])
			}
		}
	})
}

// TestWebServers spreads requests over servers, and leaves those that are down.
func TestWebServers(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.pages["@OTHER"] = httpServer(t)
	bothEngines(t, func(t *testing.T, start func(testing.TB, string) func(string) string) {
		address := l.run(t, start, webHead+`listen f
    bind BIND
    balance roundrobin
    option redispatch
    retries 1
    default-server inter 50ms fall 1
    server a @HTTP proto h2 check
    server b @DEAD check
    server c @OTHER
    http-response set-header X-Seen 1
`)
		for range 12 {
			resp, err := http.Get("http://" + address + "/")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != 200 || resp.Header.Get("X-Seen") != "1" {
				t.Errorf("got %s", resp.Status)
			}
		}
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
}

// TestWebRetire lets a stream of a retired server go on, and ends Serve with it.
func TestWebRetire(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	text := webHead + "frontend f\n bind 127.0.0.1:9444\n default_backend k\nbackend k\n server s " + l.pages["@GRPC"] + " proto h2\n"
	c, err := Load("haproxy.cfg", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.New(context.Background(), balancertest.Host())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background()) }()
	address := s.Addrs()["127.0.0.1:9444"].String()
	client := grpcConn(t, address, nil, nil)
	stream, err := client.NewStream(soon(t), chat, "/lab.Echo/Chat")
	if err != nil {
		t.Fatal(err)
	}
	m, got := wrapperspb.Bytes([]byte("x")), new(wrapperspb.BytesValue)
	for i := range 3 {
		if err := stream.SendMsg(m); err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(got); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if i == 0 {
			s.Retire()
			s.Retire()
			if _, err := net.Dial("tcp", address); err == nil {
				t.Error("a retired server accepts")
			}
		}
	}
	select {
	case err := <-done:
		t.Fatalf("Serve returned with a stream open: %v", err)
	default:
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(got); !errors.Is(err, io.EOF) {
		t.Errorf("the end: %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestWebMaxConn holds further clients back until there is room.
func TestWebMaxConn(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	bothEngines(t, func(t *testing.T, start func(testing.TB, string) func(string) string) {
		address := l.run(t, start, webHead+"listen f\n bind BIND\n maxconn 1\n server s @HTTP\n")
		first, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		io.WriteString(first, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
		r := bufio.NewReader(first)
		if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%v, %v", resp, err)
		}
		second, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer second.Close()
		io.WriteString(second, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
		_ = second.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := second.Read(make([]byte, 1)); err == nil {
			t.Error("a second client was served at the same time")
		}
		first.Close()
		_ = second.SetReadDeadline(time.Now().Add(10 * time.Second))
		if resp, err := http.ReadResponse(bufio.NewReader(second), nil); err != nil || resp.StatusCode != 200 {
			t.Errorf("%v, %v", resp, err)
		}
	})
}
