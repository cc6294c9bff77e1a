package runtime

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sync/errgroup"

	"kasgen/runtime/certs"
	"kasgen/runtime/host"
	"kasgen/runtime/kas"
)

// server is a role with every listener open and nothing served yet. Its owner
// calls Serve or Close, once. When a role's file changes, its successor is made
// beside it, on the very sockets where the addresses are the same (host.Sockets
// sees to that); then the successor serves, and the role retires.
type server interface {
	// Serve serves until ctx is done, then drains within the role's own time
	// and closes everything. After Retire it returns when nothing is under
	// way any more, however long that takes; ctx still ends it as above.
	Serve(ctx context.Context) error
	// Retire closes the listeners and returns at once. Every connection that
	// was accepted before is served: requests, streams and connections that
	// have not sent their first byte yet. Idle connections are told to go.
	// It is called while Serve runs, and may be called again.
	Retire()
	// Close closes a role that will not Serve.
	Close()
	// Addrs are the listeners' real addresses by those that the file names.
	Addrs() map[string]net.Addr
}

// Running is a bundle that runs, in one generation after another.
type Running struct {
	log     *slog.Logger
	version string
	sockets *host.Sockets
	local   local
	kas     *kas.Shared // nil until there is a kas
	metrics metrics

	mu         sync.Mutex // held while a generation is made
	generation int
	roles      []*role     // of the generation that runs
	run        func(*role) // nil before Serve and after its end
}

// role is a server with what it was made from.
type role struct {
	server
	name string

	digest  [sha256.Size]byte
	retired atomic.Bool
}

// Start opens every listener of the bundle. front is the host of the front,
// whose ports may be moved; the other roles run on h.
func (b *Bundle) Start(ctx context.Context, h, front *host.Host, version string) (*Running, error) {
	r := &Running{log: h.Log, version: version, sockets: host.NewSockets(), metrics: newMetrics(h.Metrics)}
	next, err := r.make(ctx, b, h, front)
	if err != nil {
		return nil, err
	}
	r.commit(next)
	certs.Expose(h.Metrics, r.Status)
	return r, nil
}

// next is a generation whose listeners are open.
type next struct {
	roles []*role // all of them, those that stay included
	made  []*role
	gone  []*role // those that retire
}

// make opens what b has and the generation that runs has not. After an error
// nothing has changed.
func (r *Running) make(ctx context.Context, b *Bundle, h, front *host.Host) (_ next, err error) {
	var n next
	defer func() {
		if err != nil {
			r.sockets.Forget()
			for _, m := range n.made {
				m.Close()
			}
		}
	}()
	frontClass := "front"
	if front == h {
		frontClass = ""
	}
	kept := map[*role]bool{}
	for _, p := range b.parts() {
		on := r.sockets.Host(h, "")
		if p.front {
			on = r.sockets.Host(front, frontClass)
		}
		digest := p.digest(on)
		if old := r.role(p.name); old != nil && old.digest == digest {
			kept[old] = true
			n.roles = append(n.roles, old)
			continue
		}
		s, err := p.make(ctx, on, r)
		if err != nil {
			return n, r.explain(p, err)
		}
		made := &role{server: s, name: p.name, digest: digest}
		n.made, n.roles = append(n.made, made), append(n.roles, made)
	}
	for _, old := range r.roles {
		if !kept[old] {
			n.gone = append(n.gone, old)
		}
	}
	return n, nil
}

// explain says which part failed, and what is behind a port in use.
func (r *Running) explain(p part, err error) error {
	if p.front {
		err = fmt.Errorf("front: %w", err)
	}
	if errors.Is(err, syscall.EADDRINUSE) && len(r.roles) > 0 {
		err = fmt.Errorf("%w (a port that this process has open on another address can only be moved by a restart)", err)
	}
	return err
}

func (r *Running) role(name string) *role {
	for _, old := range r.roles {
		if old.name == name {
			return old
		}
	}
	return nil
}

// commit lets the next generation serve, and the roles that it replaces retire.
func (r *Running) commit(n next) {
	r.sockets.Commit()
	r.roles = n.roles
	r.generation++
	r.metrics.generation.Set(float64(r.generation))
	r.handOver()
	for _, made := range n.made {
		if r.run != nil {
			r.run(made)
		}
	}
	for _, old := range n.gone {
		old.retired.Store(true)
		r.metrics.retiring.Inc()
		old.Retire()
	}
}

// handOver sends what is handed over inside the process to the kas of this
// generation.
func (r *Running) handOver() {
	for _, role := range r.roles {
		if k, ok := role.server.(*kas.Server); ok {
			k.TakeOver()
			r.local.set(k.Endpoints())
			return
		}
	}
	r.local.set(nil)
}

// Addrs are the real addresses of all listeners by those that the files name.
func (r *Running) Addrs() map[string]net.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addrs()
}

func (r *Running) addrs() map[string]net.Addr {
	addrs := map[string]net.Addr{}
	for _, role := range r.roles {
		for address, a := range role.Addrs() {
			addrs[address] = a
		}
	}
	return addrs
}

// Serve serves until ctx is done, then drains and closes everything, roles
// that have retired included. A role that fails ends the others.
func (r *Running) Serve(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	r.mu.Lock()
	r.run = func(s *role) { g.Go(func() error { return r.serve(ctx, s) }) }
	for _, role := range r.roles {
		r.run(role)
	}
	r.mu.Unlock()
	g.Go(func() error { return r.tell(ctx) })
	g.Go(func() error {
		<-ctx.Done()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.run = nil
		return nil
	})
	return g.Wait()
}

// serve runs a role to its end.
func (r *Running) serve(ctx context.Context, s *role) error {
	err := s.Serve(ctx)
	if !s.retired.Load() {
		return err
	}
	r.metrics.retiring.Dec()
	if err != nil {
		r.log.Error("a role of an older generation failed", "role", s.name, "error", err)
	} else if ctx.Err() == nil {
		r.log.Info("nothing is under way any more in an older generation's role", "role", s.name)
	}
	return nil
}

// Close closes a bundle that will not Serve.
func (r *Running) Close() {
	for _, role := range r.roles {
		role.Close()
	}
}
