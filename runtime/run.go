package runtime

import (
	"context"
	"fmt"
	"net"

	"golang.org/x/sync/errgroup"

	"kasgen/runtime/edge"
	"kasgen/runtime/host"
)

// server is a role with open listeners.
type server interface {
	Serve(ctx context.Context) error
	Addrs() map[string]net.Addr
}

// Running is a bundle with every listener open.
type Running struct {
	servers []server
	addrs   map[string]net.Addr
}

// Start opens every listener of the bundle. frontHost is the host of the TCP
// balancer, whose ports may be moved; the other roles run on h.
func (b *Bundle) Start(ctx context.Context, h, frontHost *host.Host, version string) (_ *Running, err error) {
	r := &Running{addrs: map[string]net.Addr{}}
	defer func() {
		if err != nil {
			r.abandon()
		}
	}()
	local := map[string]edge.Endpoint{}
	if b.kas != nil {
		k, err := b.kas.New(ctx, h, version)
		if err != nil {
			return nil, err
		}
		r.add(k)
		for address, e := range k.Endpoints() {
			local[address] = edge.Endpoint(e)
		}
	}
	if b.edge != nil {
		e, err := b.edge.New(ctx, h, local)
		if err != nil {
			return nil, err
		}
		r.add(e)
	}
	if b.haproxy != nil {
		f, err := b.haproxy.New(ctx, frontHost)
		if err != nil {
			return nil, fmt.Errorf("front: %w", err)
		}
		r.add(f)
	}
	if b.nginx != nil {
		f, err := b.nginx.New(ctx, frontHost)
		if err != nil {
			return nil, fmt.Errorf("front: %w", err)
		}
		r.add(f)
	}
	return r, nil
}

func (r *Running) add(s server) {
	r.servers = append(r.servers, s)
	for address, a := range s.Addrs() {
		r.addrs[address] = a
	}
}

// abandon closes what was opened before a failure.
func (r *Running) abandon() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = r.Serve(ctx) // the failure that led here is the one to tell
}

// Addrs are the real addresses of all listeners by those that the files name.
func (r *Running) Addrs() map[string]net.Addr { return r.addrs }

// Serve serves until ctx is done, then drains and closes everything. A role
// that fails ends the others.
func (r *Running) Serve(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range r.servers {
		g.Go(func() error { return s.Serve(ctx) })
	}
	return g.Wait()
}
