// Package tunnels keeps the reverse tunnels that agents hold open and gives
// each request one of them. It knows nothing of HTTP or of who may use an
// agent. Its law: a tunnel carries one request, an idle one costs no goroutine
// of ours beyond its handler, and what a tunnel was taken for ends with it.
package tunnels

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
	"unique"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"kasgen/internal/kasrpc/tunnel"
	"kasgen/runtime/kas/wire"
)

// ErrNoAgent says that no tunnel of the agent came free in time.
var ErrNoAgent = errors.New("agent connection not found: is the agent connected, and is its version current?")

// Registry holds the idle tunnels of every agent. The zero value is ready.
type Registry struct {
	mu     sync.Mutex
	agents map[int64]*agent
	closed bool
	stop   chan struct{} // closed by Drain
}

// New is an empty registry.
func New() *Registry { return &Registry{agents: map[int64]*agent{}, stop: make(chan struct{})} }

// agent is there while it has an idle tunnel or a request that waits for one.
type agent struct {
	idle    []*Tunnel
	waiting []*waiter
}

type waiter struct {
	method string
	got    chan *Tunnel // of capacity 1
}

// Tunnel is one Connect stream that has been taken for one request. The taker
// sends, receives and calls Finish; one goroutine may send while another
// receives.
type Tunnel struct {
	stream  grpc.ServerStream
	methods []string
	once    sync.Once
	end     chan error // what the handler returns; of capacity 1, filled once

	received uint64 // messages, by gRPC
	cut      *cut   // nil: all come by gRPC
}

// Connect serves one Connect stream of an agent, of which one message has been
// received, its descriptor: it waits until a request takes the tunnel, and until that request is done. An idle one ends with OK
// after maxIdle, or when stop is closed, so that the agent dials anew.
func (r *Registry) Connect(stream grpc.ServerStream, agentID int64, descriptor *tunnel.AgentDescriptor, maxIdle time.Duration, stop <-chan struct{}) error {
	t := &Tunnel{stream: stream, methods: methodsOf(descriptor), end: make(chan error, 1), received: 1}
	if !r.add(agentID, t) {
		return nil
	}
	timer := time.AfterFunc(maxIdle, func() {
		if r.remove(agentID, t) {
			t.Finish(nil)
		}
	})
	defer timer.Stop()
	select {
	case err := <-t.end:
		return err
	case <-stop:
	case <-r.stop:
	case <-stream.Context().Done():
	}
	if r.remove(agentID, t) {
		return stream.Context().Err()
	}
	return <-t.end // taken, or finished, at the same moment
}

func methodsOf(d *tunnel.AgentDescriptor) []string {
	var m []string
	for _, s := range d.GetServices() {
		for _, method := range s.GetMethods() {
			// Thousands of tunnels have the same few methods.
			m = append(m, unique.Make("/"+s.GetName()+"/"+method.GetName()).Value())
		}
	}
	return m
}

func (r *Registry) add(id int64, t *Tunnel) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	a := r.agent(id)
	for i, w := range a.waiting {
		if slices.Contains(t.methods, w.method) {
			a.waiting = slices.Delete(a.waiting, i, i+1)
			w.got <- t
			r.forget(id, a)
			return true
		}
	}
	a.idle = append(a.idle, t)
	return true
}

func (r *Registry) remove(id int64, t *Tunnel) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.agents[id]
	if a == nil {
		return false
	}
	i := slices.Index(a.idle, t)
	if i < 0 {
		return false
	}
	a.idle = slices.Delete(a.idle, i, i+1)
	r.forget(id, a)
	return true
}

func (r *Registry) agent(id int64) *agent {
	a := r.agents[id]
	if a == nil {
		a = &agent{}
		r.agents[id] = a
	}
	return a
}

func (r *Registry) forget(id int64, a *agent) {
	if len(a.idle) == 0 && len(a.waiting) == 0 {
		delete(r.agents, id)
	}
}

// Take gives a tunnel of the agent that serves method ("/package.Service/Method").
// It waits until ctx is done, and then says ErrNoAgent, or ctx's own error if
// it was cancelled. A tunnel whose agent has gone meanwhile is passed over.
func (r *Registry) Take(ctx context.Context, agentID int64, method string) (*Tunnel, error) {
	w := &waiter{method: method, got: make(chan *Tunnel, 1)}
	if t := r.takeOrWait(agentID, w); t != nil {
		return t, nil
	}
	select {
	case t := <-w.got:
		return t, nil
	case <-ctx.Done():
	}
	r.mu.Lock()
	if a := r.agents[agentID]; a != nil {
		a.waiting = slices.DeleteFunc(a.waiting, func(o *waiter) bool { return o == w })
		r.forget(agentID, a)
	}
	r.mu.Unlock()
	select {
	case t := <-w.got:
		return t, nil // it came at the same moment
	default:
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, ErrNoAgent
	}
	return nil, ctx.Err()
}

func (r *Registry) takeOrWait(id int64, w *waiter) *Tunnel {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.agent(id)
	// The youngest first: its connection is the likeliest to be alive.
	for i := len(a.idle) - 1; i >= 0; i-- {
		t := a.idle[i]
		if !slices.Contains(t.methods, w.method) {
			continue
		}
		a.idle = slices.Delete(a.idle, i, i+1)
		if err := t.stream.Context().Err(); err != nil {
			t.Finish(err)
			continue
		}
		r.forget(id, a)
		return t
	}
	a.waiting = append(a.waiting, w)
	return nil
}

// Idle is how many tunnels of the agent wait for a request.
func (r *Registry) Idle(agentID int64) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.agents[agentID]; a != nil {
		return len(a.idle)
	}
	return 0
}

// AllIdle is how many tunnels of all agents wait for a request.
func (r *Registry) AllIdle() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, a := range r.agents {
		n += len(a.idle)
	}
	return n
}

// Drain ends idle tunnels with OK and takes no new ones; those in use go on.
func (r *Registry) Drain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.closed = true
		close(r.stop)
	}
}

// Context is done when the agent's connection is gone.
func (t *Tunnel) Context() context.Context { return t.stream.Context() }

// Send sends a *tunnel.ConnectResponse or a *wire.Chunk.
func (t *Tunnel) Send(m any) error { return t.stream.SendMsg(m) }

// Receive reads the agent's next message into f; io.EOF is the agent's clean
// end. The caller frees f.
func (t *Tunnel) Receive(f *wire.Frame) error {
	if t.cut != nil && t.received == t.cut.first {
		return t.cut.receive(t.Context(), f)
	}
	err := t.stream.RecvMsg(f)
	if err == nil {
		t.received++
	}
	return err
}

// Finish ends the tunnel and with it, at the agent, what it was taken for. err
// nil is the orderly end. Only the first Finish counts.
func (t *Tunnel) Finish(err error) {
	if err != nil {
		err = status.Error(codes.Canceled, err.Error())
	}
	t.once.Do(func() { t.end <- err })
}
