package balancer

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func picks(t *testing.T, p *Pool, clients ...string) string {
	t.Helper()
	var b strings.Builder
	for _, c := range clients {
		s, err := p.choose(pick{client: netip.MustParseAddr(c)}, time.Now())
		if err != nil {
			b.WriteString("-")
			continue
		}
		s.conns++
		b.WriteString(s.Name)
	}
	return b.String()
}

func same(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = "192.0.2.1"
	}
	return out
}

func TestBalance(t *testing.T) {
	t.Parallel()
	peers := func(edit func(a, b, c *Peer)) []*Peer {
		a, b, c := &Peer{Name: "a", Weight: 1}, &Peer{Name: "b", Weight: 1}, &Peer{Name: "c", Weight: 1}
		edit(a, b, c)
		return []*Peer{a, b, c}
	}
	tests := []struct {
		name    string
		balance Balance
		edit    func(a, b, c *Peer)
		clients []string
		want    string
	}{
		{"round robin", RoundRobin, func(a, b, c *Peer) {}, same(6), "abcabc"},
		{"weights", RoundRobin, func(a, b, c *Peer) { a.Weight = 3 }, same(5), "abaca"},
		{"weight 0", RoundRobin, func(a, b, c *Peer) { a.Weight = 0 }, same(4), "bcbc"},
		{"down", RoundRobin, func(a, b, c *Peer) { b.Down = true }, same(4), "acac"},
		{"backup only when needed", RoundRobin, func(a, b, c *Peer) { c.Backup = true }, same(4), "abab"},
		{"first backup alone", RoundRobin, func(a, b, c *Peer) { a.Down, b.Backup, c.Backup = true, true, true }, same(3), "bbb"},
		{"least connections", LeastConn, func(a, b, c *Peer) { a.Weight = 2 }, same(8), "abcacaba"},
		{"first", First, func(a, b, c *Peer) { a.MaxConn, b.MaxConn = 2, 1 }, same(4), "aabc"},
		{"all full", RoundRobin, func(a, b, c *Peer) { a.MaxConn, b.MaxConn, c.MaxConn = 1, 1, 1 }, same(4), "abc-"},
		{"source sticks", Source, func(a, b, c *Peer) {}, []string{"192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.2"}, "abab"},
		{"hash sticks", KeyHash, func(a, b, c *Peer) {}, []string{"192.0.2.1", "192.0.2.4", "192.0.2.1", "192.0.2.4"}, "caca"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := picks(t, NewPool("p", tt.balance, true, peers(tt.edit)), tt.clients...)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPassiveFailures takes a peer out as nginx does, and lets it back.
func TestPassiveFailures(t *testing.T) {
	t.Parallel()
	p := NewPool("p", RoundRobin, false, []*Peer{
		{Name: "a", Weight: 1, MaxFails: 1, FailTimeout: 10 * time.Second},
		{Name: "b", Weight: 1, MaxFails: 1, FailTimeout: 10 * time.Second},
	})
	a := p.peers[0]
	if !p.failed(a) {
		t.Error("the first failure should take the peer out")
	}
	if got := picks(t, p, same(3)...); got != "bbb" {
		t.Errorf("after a failure: %s", got)
	}
	later := time.Now().Add(11 * time.Second)
	for range 4 {
		if s, err := p.choose(pick{}, later); err != nil {
			t.Fatal(err)
		} else if s == a {
			p.succeeded(a)
			if a.fails != 0 {
				t.Errorf("%d failures are remembered after a success", a.fails)
			}
			return
		}
	}
	t.Error("the peer never came back after its fail_timeout")
}

// TestRetry refuses, redispatches and tries once.
func TestRetry(t *testing.T) {
	t.Parallel()
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = dead.Close()
	alive := upstreamServer(t, echo)
	for name, tt := range map[string]struct {
		retry  Retry
		served bool
	}{
		"no retry":                 {Retry{}, false},
		"same peer":                {Retry{Retries: 2, Delay: time.Millisecond}, false},
		"redispatch on the last":   {Retry{Retries: 2, Delay: time.Millisecond, Redispatch: -1}, true},
		"redispatch at once":       {Retry{Retries: 1, Delay: time.Hour, Redispatch: -1, Spread: true}, true},
		"nginx tries each":         {Retry{Retries: -1, TryOnce: true}, true},
		"nginx with a single try":  {Retry{Retries: 0, TryOnce: true}, false},
		"no time for another peer": {Retry{Retries: -1, TryOnce: true, Total: 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, address := serve(t, simple(&Backend{Name: "b", Pool: peerAt(dead.Addr().String(), alive), Retry: tt.retry}))
			c := dial(t, address)
			_, _ = c.Write([]byte("x"))
			_ = c.CloseWrite()
			if got, _ := ends(t, c); (got == "x") != tt.served {
				t.Errorf("got %q, served should be %v", got, tt.served)
			}
		})
	}
}

// TestHealthCheck takes a server out, PROXY header and all, and back in.
func TestHealthCheck(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	headers := make(chan string, 100)
	accept := func(l net.Listener) {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 32)
			n, _ := c.Read(b)
			_ = c.Close()
			select {
			case headers <- string(b[:n]):
			default:
			}
		}
	}
	go accept(l)
	pool := NewPool("b", RoundRobin, true, []*Peer{{
		Name: "a", Address: address, Weight: 1, SendProxy: 1,
		Check: &Check{Inter: 10 * time.Millisecond, Rise: 2, Fall: 2, Timeout: time.Second, SendProxy: true},
	}})
	serve(t, simple(&Backend{Name: "b", Pool: pool}))
	if got := <-headers; got != "PROXY UNKNOWN\r\n" {
		t.Errorf("the check said %q", got)
	}
	await := func(up bool) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Second); pool.isUp(pool.peers[0]) != up; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the server is not up=%v", up)
			}
		}
	}
	await(true)
	_ = l.Close()
	await(false)
	again, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("skipping the way back: the port was taken meanwhile: %v", err)
	}
	defer again.Close()
	go accept(again)
	await(true)
}

func TestQueueGivesTurnsOn(t *testing.T) {
	t.Parallel()
	p := NewPool("p", RoundRobin, true, []*Peer{{Name: "a", Weight: 1, MaxConn: 1}})
	first, err := p.acquire(context.Background(), pick{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	var served atomic.Int32
	done := make(chan struct{})
	for range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			s, err := p.acquire(context.Background(), pick{}, 5*time.Second)
			if err != nil {
				t.Error(err)
				return
			}
			served.Add(1)
			p.release(s)
		}()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.acquire(ctx, pick{}, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that left got %v", err)
	}
	p.release(first)
	for range 8 {
		<-done
	}
	if served.Load() != 8 || p.peers[0].conns != 0 || len(p.waiting) != 0 {
		t.Errorf("served %d, connections left %d, waiting %d", served.Load(), p.peers[0].conns, len(p.waiting))
	}
}
