package balancer

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kasgen/runtime/host"
)

func TestMain(m *testing.M) {
	if backend := os.Getenv(benchBackend); backend != "" {
		serveForBenchmark(backend)
		return
	}
	goleak.VerifyTestMain(m)
}

const testAddress = "127.0.0.1:0"

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// serve runs a balancer until the test ends, and returns its address.
func serve(t testing.TB, c *Config) (*Server, string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s, err := New(ctx, c, host.Machine(quiet()))
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Serve did not end")
		}
	})
	return s, s.listeners[0].Addr().String()
}

// upstreamServer answers each connection with handle.
func upstreamServer(t testing.TB, handle func(*net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", testAddress)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); handle(c.(*net.TCPConn)) }()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// echo sends everything back and then ends.
func echo(c *net.TCPConn) { _, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) }

func peerAt(addresses ...string) *Pool {
	var peers []*Peer
	for i, a := range addresses {
		peers = append(peers, &Peer{Name: string(rune('a' + i)), Address: a, Weight: 1})
	}
	return NewPool("pool", RoundRobin, true, peers)
}

func to(b *Backend) func(*View) Decision {
	return func(*View) Decision { return Decision{Backend: b} }
}

func simple(b *Backend) *Config {
	b.HalfClose = true
	return &Config{
		Drain:     time.Millisecond,
		Pools:     []*Pool{b.Pool},
		Frontends: []*Frontend{{Name: "front", Binds: []*Bind{{Address: testAddress}}, Peek: 15360, Route: to(b)}},
	}
}

func dial(t testing.TB, address string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// roundTrip sends b, ends the direction, and expects it back.
func roundTrip(t testing.TB, c halfConn, b []byte) {
	t.Helper()
	go func() {
		_, _ = c.Write(b)
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("reading the echo: %v", err)
	}
	if !bytes.Equal(b, got) {
		t.Fatalf("sent %d bytes, got %d others back", len(b), len(got))
	}
}

func TestRelaySplices(t *testing.T) {
	t.Parallel()
	s, address := serve(t, simple(&Backend{Name: "b", Pool: peerAt(upstreamServer(t, echo)), Idle: time.Minute}))
	b := randomBytes(8 << 20)
	roundTrip(t, dial(t, address), b)
	if got := s.Stats(); got.Spliced != int64(2*len(b)) || got.Copied != 0 || got.Peeked != 0 {
		t.Errorf("stats are %+v, want %d spliced and nothing else", got, 2*len(b))
	}
}
