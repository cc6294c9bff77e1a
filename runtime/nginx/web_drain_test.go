package nginx

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"kasgen/internal/nginxconf"
	"kasgen/runtime/balancer/balancertest"
)

// served is an embedded role that a test ends itself.
type served struct {
	*Server
	address func(bind string) string
	end     context.CancelFunc
	done    chan error
}

func serve(t *testing.T, w *web) *served {
	t.Helper()
	c, err := Load("nginx.conf", []byte(w.text), nginxconf.Source{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := c.New(ctx, balancertest.Host())
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	v := &served{Server: s, end: cancel, done: make(chan error, 1), address: func(bind string) string { return s.Addrs()[w.binds[bind]].String() }}
	go func() { v.done <- s.Serve(ctx) }()
	t.Cleanup(cancel)
	return v
}

// ended waits for the end of Serve.
func (v *served) ended(t *testing.T) {
	t.Helper()
	select {
	case err := <-v.done:
		if err != nil {
			t.Errorf("Serve: %v", err)
		}
	case <-time.After(8 * time.Second):
		t.Error("Serve does not end")
	}
}

const draining = `server { listen BIND0; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; location / { proxy_pass http://ORIGIN; } }
server { listen BIND1 http2; location / { grpc_pass grpc://GRPC; } }`

// upgraded opens a stream, and says something on it.
func upgraded(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(8 * time.Second))
	t.Cleanup(func() { c.Close() })
	fmt.Fprint(c, "GET /upgrade HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
	if head, rest, ok := readHead(c); !ok || !strings.HasPrefix(head, "101") {
		t.Fatalf("no upgrade: %s", head)
	} else if len(rest) < len("hello ") {
		_, _ = io.ReadFull(c, make([]byte, len("hello ")-len(rest)))
	}
	alive(t, c)
	return c
}

// alive sends something through a stream and back.
func alive(t *testing.T, c net.Conn) {
	t.Helper()
	_, _ = io.WriteString(c, "ping")
	b := make([]byte, 4)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "ping" {
		t.Fatalf("the stream says %q, %v", b, err)
	}
}

// gone waits for the end of a stream.
func gone(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); err == nil {
		t.Errorf("the stream says %d bytes more", n)
	}
}

func TestWebDrain(t *testing.T) {
	t.Parallel()
	w := newWeb(t, draining, "ORIGIN", origin(t), "GRPC", grpcOrigin(t))
	v := serve(t, w)
	c := upgraded(t, v.address("BIND0"))
	s := open(t, long(h2c(v.address("BIND1"))), "http://"+v.address("BIND1")+"/x/Echo", "h")
	if _, err := s.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	resp := <-s.got
	if resp == nil {
		t.Fatal("no answer")
	}
	defer resp.Body.Close()
	v.end()
	for deadline := time.Now().Add(5 * time.Second); ; {
		other, err := net.Dial("tcp", v.address("BIND0"))
		if err != nil {
			break
		}
		other.Close()
		if time.Now().After(deadline) {
			t.Fatal("the listener stays open")
		}
	}
	// The file gives a second, and nobody leaves.
	gone(t, c)
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("the gRPC stream that was cut looks whole")
	}
	v.ended(t)
}

func TestWebRetire(t *testing.T) {
	t.Parallel()
	w := newWeb(t, draining, "ORIGIN", origin(t), "GRPC", grpcOrigin(t))
	v := serve(t, w)
	c := upgraded(t, v.address("BIND0"))
	v.Retire()
	v.Retire()
	if other, err := net.Dial("tcp", v.address("BIND0")); err == nil {
		other.Close()
		t.Error("the listener stays open")
	}
	time.AfterFunc(1200*time.Millisecond, func() { c.Close() }) // beyond the drain time, which is not for those who retire
	alive(t, c)
	gone(t, c)
	v.ended(t)
}

// TestWebKeepaliveRequests sends more requests over HTTP/2 than a connection
// may have: the next ones go over another.
func TestWebKeepaliveRequests(t *testing.T) {
	t.Parallel()
	w := newWeb(t, `server { listen BIND0 http2; keepalive_requests 3; return 200 "$remote_port"; }`)
	for name, e := range map[string]engine{"nginx": native, "embedded": embedded} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := w.run(t, e)
			c := h2c(r.address("BIND0"))
			defer c.CloseIdleConnections()
			var ports []string
			for range 7 {
				resp, err := c.Get("http://" + r.address("BIND0") + "/")
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(resp.Body)
				if resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
					t.Fatal(resp.Status, err)
				}
				if len(ports) == 0 || ports[len(ports)-1] != string(b) {
					ports = append(ports, string(b))
				}
			}
			if len(ports) != 3 {
				t.Errorf("7 requests went over %d connections, want 3", len(ports))
			}
		})
	}
}

// TestStreamAndWeb runs both blocks of one file.
func TestStreamAndWeb(t *testing.T) {
	t.Parallel()
	w := newWeb(t, `server { listen BIND0; return 200 web; }`)
	stream := balancertest.FreePort(t)
	w.text += "stream { server { listen " + stream + "; proxy_half_close on; proxy_pass " + balancertest.Answering(t, "stream", false) + "; } }\n"
	v := serve(t, w)
	web := w.run(t, func(testing.TB, string) func(string) string {
		return func(bind string) string { return v.Addrs()[bind].String() }
	})
	if got := web.send(t, "BIND0", get("/")); !strings.HasSuffix(got, "web\n") {
		t.Errorf("http{} says %q", got)
	}
	if got := balancertest.Send(t, v.Addrs()[stream].String(), "x"); got != "stream:x" {
		t.Errorf("stream{} says %q", got)
	}
	v.end()
	v.ended(t)
}
