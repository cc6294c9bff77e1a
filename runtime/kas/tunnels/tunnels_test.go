package tunnels

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"kasgen/internal/kasrpc/tunnel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeStream is an agent's Connect stream without an agent.
type fakeStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *fakeStream) Context() context.Context { return s.ctx }
func (s *fakeStream) RecvMsg(any) error        { return io.EOF }
func (s *fakeStream) SendMsg(any) error        { return nil }

const method = "/p.S/M"

func services(names ...string) *tunnel.AgentDescriptor {
	d := &tunnel.AgentDescriptor{}
	for _, n := range names {
		d.Services = append(d.Services, &tunnel.Service{Name: "p.S", Methods: []*tunnel.Method{{Name: n}}})
	}
	return d
}

// lab is a registry inside a bubble.
type lab struct {
	t *testing.T
	r *Registry
}

// held is a Connect that runs.
type held struct {
	cut  context.CancelFunc // the agent's connection breaks
	stop chan struct{}
	end  chan error
}

func (l lab) connect(agent int64, d *tunnel.AgentDescriptor) held {
	ctx, cut := context.WithCancel(l.t.Context())
	h := held{cut: cut, stop: make(chan struct{}), end: make(chan error, 1)}
	go func() { h.end <- l.r.Connect(&fakeStream{ctx: ctx}, agent, d, time.Hour, h.stop) }()
	synctest.Wait()
	return h
}

// result is what Connect has returned; errRuns while it runs.
func (h held) result() error {
	synctest.Wait()
	select {
	case err := <-h.end:
		return err
	default:
		return errRuns
	}
}

var errRuns = errors.New("it runs")

func (l lab) take(agent int64, method string, limit time.Duration) (*Tunnel, error) {
	ctx, cancel := context.WithTimeout(l.t.Context(), limit)
	defer cancel()
	return l.r.Take(ctx, agent, method)
}

func bubble(t *testing.T, f func(l lab)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := lab{t, New()}
		f(l)
		l.r.mu.Lock()
		defer l.r.mu.Unlock()
		for id, a := range l.r.agents {
			t.Errorf("of agent %d are left: %d idle, %d waiting", id, len(a.idle), len(a.waiting))
		}
	})
}

// TestTake: the youngest tunnel of the right agent with the right method, once.
func TestTake(t *testing.T) {
	bubble(t, func(l lab) {
		old, young := l.connect(1, services("M")), l.connect(1, services("M", "N"))
		other, without := l.connect(2, services("M")), l.connect(1, services("X"))
		if n, all := l.r.Idle(1), l.r.AllIdle(); n != 3 || all != 4 || l.r.Idle(9) != 0 {
			t.Errorf("%d idle of the agent, %d of all", n, all)
		}
		first, err := l.take(1, method, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		first.Finish(nil)
		if err := young.result(); err != nil {
			t.Errorf("the youngest: %v", err)
		}
		second, err := l.take(1, method, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		second.Finish(errors.New("why"))
		second.Finish(nil) // too late
		if err := old.result(); status.Code(err) != codes.Canceled || status.Convert(err).Message() != "why" {
			t.Errorf("the older one: %v", err)
		}
		if _, err := l.take(1, method, time.Second); !errors.Is(err, ErrNoAgent) {
			t.Errorf("a third time: %v", err)
		}
		for _, h := range []held{other, without} {
			if err := h.result(); !errors.Is(err, errRuns) {
				t.Errorf("one that nobody took: %v", err)
			}
			h.cut()
			if err := h.result(); !errors.Is(err, context.Canceled) {
				t.Errorf("one whose agent left: %v", err)
			}
		}
	})
}

// TestWaiting: who waits gets the next tunnel that fits, in the order in which
// they came; who gives up leaves it to the next.
func TestWaiting(t *testing.T) {
	bubble(t, func(l lab) {
		type got struct {
			tunnel *Tunnel
			err    error
		}
		wait := func(ctx context.Context) <-chan got {
			c := make(chan got, 1)
			go func() {
				t, err := l.r.Take(ctx, 1, method)
				c <- got{t, err}
			}()
			synctest.Wait()
			return c
		}
		leaving, leave := context.WithCancel(l.t.Context())
		gone, first, second := wait(leaving), wait(l.t.Context()), wait(l.t.Context())
		leave()
		if g := <-gone; !errors.Is(g.err, context.Canceled) || errors.Is(g.err, ErrNoAgent) {
			t.Errorf("who left got %v", g.err)
		}
		wrong := l.connect(1, services("X"))
		elsewhere := l.connect(2, services("M"))
		right := l.connect(1, services("M"))
		if len(first) != 1 || len(second) != 0 {
			t.Fatalf("%d and %d got the one tunnel that fits", len(first), len(second))
		}
		(<-first).tunnel.Finish(nil)
		if err := right.result(); err != nil {
			t.Error(err)
		}
		next := l.connect(1, services("M"))
		(<-second).tunnel.Finish(nil)
		if err := next.result(); err != nil {
			t.Error(err)
		}
		wrong.cut()
		elsewhere.cut()
		synctest.Wait()
	})
}

// TestGoneAgent: a tunnel whose connection broke at the moment of taking is
// passed over.
func TestGoneAgent(t *testing.T) {
	bubble(t, func(l lab) {
		dead := &Tunnel{stream: &fakeStream{ctx: func() context.Context { c, cancel := context.WithCancel(l.t.Context()); cancel(); return c }()},
			methods: []string{method}, end: make(chan error, 1)}
		living := l.connect(1, services("M"))
		if !l.r.add(1, dead) {
			t.Fatal("not added")
		}
		taken, err := l.take(1, method, time.Second)
		if err != nil || taken == dead {
			t.Fatalf("took the dead one: %v", err)
		}
		if err := <-dead.end; err == nil {
			t.Error("the dead one ended well")
		}
		taken.Finish(nil)
		if err := living.result(); err != nil {
			t.Error(err)
		}
	})
}

// TestEnds: an idle tunnel ends well when its time is over, when its service
// retires and when the registry drains; one in use goes on.
func TestEnds(t *testing.T) {
	bubble(t, func(l lab) {
		idle, retired, used, drained := l.connect(1, services("M")), l.connect(2, services("M")), l.connect(3, services("M")), l.connect(4, services("M"))
		taken, err := l.take(3, method, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		close(retired.stop)
		if err := retired.result(); err != nil {
			t.Errorf("of a service that retired: %v", err)
		}
		close(used.stop)
		l.r.Drain()
		l.r.Drain()
		for _, h := range []held{idle, drained} {
			if err := h.result(); err != nil {
				t.Errorf("of a registry that drained: %v", err)
			}
		}
		if err := used.result(); !errors.Is(err, errRuns) {
			t.Errorf("in use: %v", err)
		}
		if err := l.connect(1, services("M")).result(); err != nil {
			t.Errorf("after draining: %v", err)
		}
		taken.Finish(nil)
		if err := used.result(); err != nil {
			t.Errorf("in use, at its end: %v", err)
		}
	})
	t.Run("by time", func(t *testing.T) {
		bubble(t, func(l lab) {
			h := l.connect(1, services("M"))
			time.Sleep(time.Hour - time.Nanosecond)
			if err := h.result(); !errors.Is(err, errRuns) {
				t.Errorf("before its time: %v", err)
			}
			time.Sleep(time.Nanosecond)
			if err := h.result(); err != nil || l.r.AllIdle() != 0 {
				t.Errorf("in its time: %v, %d idle", err, l.r.AllIdle())
			}
		})
	})
}

// TestRaces: under all that can happen at once, each tunnel is somebody's or
// nobody's, and every handler ends.
func TestRaces(t *testing.T) {
	t.Parallel()
	r := New()
	ctx, cancel := context.WithCancel(t.Context())
	var handlers, takers sync.WaitGroup
	for range 8 {
		handlers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				of, cut := context.WithCancel(ctx)
				if i%5 == 0 {
					cut()
				}
				_ = r.Connect(&fakeStream{ctx: of}, 1, services("M"), time.Duration(i%7)*time.Microsecond, nil)
				cut()
			}
		})
	}
	taken := 0
	var mu sync.Mutex
	for range 4 {
		takers.Go(func() {
			for range 200 {
				short, stop := context.WithTimeout(ctx, 5*time.Millisecond)
				tn, err := r.Take(short, 1, method)
				stop()
				if err != nil {
					continue
				}
				mu.Lock()
				taken++
				mu.Unlock()
				tn.Finish(nil)
			}
		})
	}
	takers.Wait()
	cancel()
	handlers.Wait()
	if taken == 0 {
		t.Error("nobody got a tunnel")
	}
	if n := r.AllIdle(); n != 0 {
		t.Errorf("%d tunnels are left", n)
	}
}
