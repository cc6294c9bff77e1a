package balancer

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"kasgen/runtime/balancer/balancertest"
	"kasgen/runtime/host"
)

const short = 150 * time.Millisecond

// ends reads until the end of c and tells how long that took.
func ends(t *testing.T, c net.Conn) (string, time.Duration) {
	t.Helper()
	began := time.Now()
	b, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("still open after %v", time.Since(began))
	}
	return string(b), time.Since(began)
}

// hold reads and never answers or ends.
func hold(t testing.TB) func(c *net.TCPConn) {
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	return func(c *net.TCPConn) {
		go func() { _, _ = io.Copy(io.Discard, c) }()
		<-stop
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		set  func(f *Frontend, b *Backend)
		half bool // the client ends its direction first
	}{
		{"client", func(f *Frontend, b *Backend) { f.Idle, b.Idle = short, short }, false},
		{"tunnel instead of longer limits", func(f *Frontend, b *Backend) { f.Idle, b.Idle, b.Tunnel = time.Hour, time.Hour, short }, false},
		{"server-fin after the client's end", func(f *Frontend, b *Backend) { f.Idle, b.Idle, b.Fin = time.Hour, time.Hour, short }, true},
		{"server after the client's end", func(f *Frontend, b *Backend) { f.Idle, b.Idle = time.Hour, short }, true},
		{"one timer", func(f *Frontend, b *Backend) { f.Idle, b.Idle, b.OneTimer = short, short, true }, false},
		{"no half-close", func(_ *Frontend, b *Backend) { b.HalfClose = false }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := &Backend{Name: "b", Pool: peerAt(upstreamServer(t, hold(t)))}
			c := simple(b)
			tt.set(c.Frontends[0], b)
			_, address := serve(t, c)
			conn := dial(t, address)
			if tt.half {
				_ = conn.CloseWrite()
			}
			if _, took := ends(t, conn); took > 5*time.Second || took < short/2 && tt.name != "no half-close" {
				t.Errorf("ended after %v, the limit is %v", took, short)
			}
		})
	}
}

// TestActivityExtends keeps a connection alive past its limit by bytes in one
// direction only: HAProxy counts a write as activity of that socket, too.
func TestActivityExtends(t *testing.T) {
	t.Parallel()
	b := &Backend{Name: "b", Pool: peerAt(upstreamServer(t, hold(t))), Idle: 4 * short}
	c := simple(b)
	c.Frontends[0].Idle = 4 * short
	_, address := serve(t, c)
	conn := dial(t, address)
	for range 12 {
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatalf("closed while busy: %v", err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(short))
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("ended while busy: %v", err)
		}
	}
}

// TestStalledReader gives up a server that takes no more bytes.
func TestStalledReader(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	defer close(stop)
	b := &Backend{Name: "b", Pool: peerAt(upstreamServer(t, func(*net.TCPConn) { <-stop })), Idle: short}
	c := simple(b)
	_, address := serve(t, c)
	conn := dial(t, address)
	block := randomBytes(1 << 20)
	for {
		if _, err := conn.Write(block); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("still open")
			}
			return
		}
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	b := &Backend{Name: "b", Pool: peerAt(upstreamServer(t, echo))}
	c := simple(b)
	c.Drain = 2 * short
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s, err := New(ctx, c, host.Machine(quiet()))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	address := s.Addrs()[testAddress].String()
	conn := dial(t, address)
	say(t, conn, "before")
	cancel()
	for { // the listener closes first
		other, err := net.Dial("tcp", address)
		if err != nil {
			break
		}
		_ = other.Close()
	}
	say(t, conn, "while it drains")
	ends(t, conn)
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if n := s.Stats().Active; n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// say sends text and expects the echo.
func say(t *testing.T, c io.ReadWriter, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("sent %q, got %q, %v", text, got, err)
	}
}

func TestMaxConn(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(c *Config){
		"process":  func(c *Config) { c.MaxConn = 1 },
		"frontend": func(c *Config) { c.Frontends[0].MaxConn = 1 },
		"server":   func(c *Config) { c.Pools[0].peers[0].MaxConn = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := simple(&Backend{Name: "b", Pool: peerAt(upstreamServer(t, echo))})
			set(c)
			_, address := serve(t, c)
			first := dial(t, address)
			say(t, first, "one")
			second := dial(t, address)
			if _, err := second.Write([]byte("two")); err != nil {
				t.Fatal(err)
			}
			_ = second.SetReadDeadline(time.Now().Add(short))
			if n, err := second.Read(make([]byte, 3)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("the second client was served beside the first: %d, %v", n, err)
			}
			_ = first.Close()
			_ = second.SetReadDeadline(time.Now().Add(10 * time.Second))
			got := make([]byte, 3)
			if _, err := io.ReadFull(second, got); err != nil || string(got) != "two" {
				t.Fatalf("after the first left: %q, %v", got, err)
			}
		})
	}
}

func TestQueueLimit(t *testing.T) {
	t.Parallel()
	b := &Backend{Name: "b", Pool: peerAt(upstreamServer(t, echo)), Queue: short}
	b.Pool.peers[0].MaxConn = 1
	_, address := serve(t, simple(b))
	first := dial(t, address)
	say(t, first, "one")
	if got, took := ends(t, dial(t, address)); got != "" || took < short/2 {
		t.Errorf("got %q after %v, want the end after %v", got, took, short)
	}
	say(t, first, "still there")
}

// TestFailureIsLogged wants the names and the cause of a backend that is down.
func TestFailureIsLogged(t *testing.T) {
	t.Parallel()
	var out lockedBuffer
	h := host.Machine(slog.New(slog.NewTextHandler(&out, nil)))
	c := simple(&Backend{Name: "back", Pool: peerAt(balancertest.FreePort(t)), Retry: Retry{Retries: 1, Delay: time.Millisecond}})
	ctx, cancel := context.WithCancel(context.Background())
	s, err := New(ctx, c, h)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	ends(t, dial(t, s.Addrs()[testAddress].String()))
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, want := range []string{"frontend=front", "backend=back", "server=a", `cause="backend connection failed"`, "connection refused"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, out.String())
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestTLS ends TLS on the client's side, the server's side and both, and
// keeps half-close through it.
func TestTLS(t *testing.T) {
	t.Parallel()
	file, roots := balancertest.CombinedPEM(t)
	pair, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		t.Fatal(err)
	}
	plain := upstreamServer(t, echo)
	secure := upstreamServer(t, func(c *net.TCPConn) {
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}})
		_, _ = io.Copy(s, s)
		_ = s.CloseWrite()
	})
	for _, tt := range []struct {
		name           string
		client, server bool
	}{{"client", true, false}, {"server", false, true}, {"both", true, true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := &Backend{Name: "b", Pool: peerAt(plain), Idle: time.Minute}
			if tt.server {
				b.Pool = peerAt(secure)
				b.Pool.peers[0].TLS = &ClientTLS{Verify: true, CAFile: file, ServerName: "kas.example.com"}
			}
			c := simple(b)
			if tt.client {
				c.Frontends[0].Binds[0].TLS = &ServerTLS{Certificates: []Certificate{{Cert: file}}}
			}
			s, address := serve(t, c)
			conn := halfConn(dial(t, address))
			if tt.client {
				conn = tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: "kas.example.com"})
			}
			data := randomBytes(3 << 20)
			roundTrip(t, conn, data)
			if got := s.Stats(); got.Copied != int64(2*len(data)) || got.Spliced != 0 {
				t.Errorf("stats are %+v, want everything copied", got)
			}
		})
	}
}

// TestUpstreamIsVerified refuses a server whose certificate is for another
// name.
func TestUpstreamIsVerified(t *testing.T) {
	t.Parallel()
	file, _ := balancertest.CombinedPEM(t)
	pair, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		t.Fatal(err)
	}
	secure := upstreamServer(t, func(c *net.TCPConn) {
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}})
		_, _ = io.WriteString(s, "secret")
		_ = s.CloseWrite()
	})
	for name, want := range map[string]string{"kas.example.com": "secret", "": "secret", "other.example.com": ""} {
		b := &Backend{Name: "b", Pool: peerAt(secure)}
		b.Pool.peers[0].TLS = &ClientTLS{Verify: true, CAFile: file, ServerName: name}
		_, address := serve(t, simple(b))
		if got, _ := ends(t, dial(t, address)); got != want {
			t.Errorf("name %q: got %q, want %q", name, got, want)
		}
	}
}

// TestPassThroughSplices routes by SNI and moves the rest in the kernel.
func TestPassThroughSplices(t *testing.T) {
	t.Parallel()
	b := &Backend{Name: "b", Pool: peerAt(upstreamServer(t, echo))}
	c := simple(b)
	f := c.Frontends[0]
	f.Inspect = time.Minute
	f.Route = func(v *View) Decision {
		if h, state := v.Hello(); state == HelloMore {
			return Decision{Wait: true}
		} else if h.ServerName != "kas.example.com" {
			return Decision{Cause: CauseNoBackend}
		}
		return Decision{Backend: b}
	}
	s, address := serve(t, c)
	hello := balancertest.Hello(t, "kas.example.com")
	data := append([]byte(hello), randomBytes(4<<20)...)
	roundTrip(t, dial(t, address), data)
	got := s.Stats()
	if got.Copied != 0 || got.Peeked < int64(len(hello)) || got.Peeked > int64(f.Peek) || got.Spliced+got.Peeked != int64(2*len(data)) {
		t.Errorf("stats are %+v for %d bytes each way", got, len(data))
	}
}

// TestInspect is what silence, garbage and half a hello come to.
func TestInspect(t *testing.T) {
	t.Parallel()
	upstream := upstreamServer(t, echo)
	hello := balancertest.Hello(t, "kas.example.com")
	for name, tt := range map[string]struct{ send, want string }{
		"silent":       {"", ""},
		"half a hello": {hello[:len(hello)/2], hello[:len(hello)/2]},
		"garbage":      {"\x00\x01\x02", "\x00\x01\x02"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &Backend{Name: "b", Pool: peerAt(upstream)}
			c := simple(b)
			f := c.Frontends[0]
			f.Inspect = short
			f.Route = func(v *View) Decision {
				if _, state := v.Hello(); state == HelloMore && !v.Final() {
					return Decision{Wait: true}
				}
				if len(v.Payload) == 0 {
					return Decision{Cause: CauseRejected}
				}
				return Decision{Backend: b}
			}
			_, address := serve(t, c)
			conn := dial(t, address)
			if _, err := io.WriteString(conn, tt.send); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(tt.want)+1)
			_ = conn.SetReadDeadline(time.Now().Add(4 * short))
			n, _ := io.ReadFull(conn, got)
			if string(got[:n]) != tt.want {
				t.Errorf("got %q, want %q", got[:n], tt.want)
			}
		})
	}
}
