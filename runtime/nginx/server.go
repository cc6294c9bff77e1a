package nginx

import (
	"context"
	"maps"
	"net"

	"golang.org/x/sync/errgroup"

	"kasgen/runtime/balancer"
	"kasgen/runtime/certs"
	"kasgen/runtime/nginx/vhost"
)

// Server is a Config whose listeners are open.
type Server struct {
	balancer *balancer.Server
	http     *vhost.Server
}

// Serve serves until ctx is done or a listener fails, then closes the
// listeners and lets streams and requests go on for the time of
// worker_shutdown_timeout.
func (s *Server) Serve(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if s.balancer != nil {
		g.Go(func() error { return s.balancer.Serve(ctx) })
	}
	if s.http != nil {
		g.Go(func() error { return s.http.Serve(ctx) })
	}
	return g.Wait()
}

// Addrs is where each bind address really listens.
func (s *Server) Addrs() map[string]net.Addr {
	out := map[string]net.Addr{}
	if s.balancer != nil {
		maps.Copy(out, s.balancer.Addrs())
	}
	if s.http != nil {
		maps.Copy(out, s.http.Addrs())
	}
	return out
}

// Retire closes the listeners. What is under way goes on, and Serve returns
// when nothing is.
func (s *Server) Retire() {
	if s.balancer != nil {
		s.balancer.Retire()
	}
	if s.http != nil {
		s.http.Retire()
	}
}

// Refresh reads the certificates' files now.
func (s *Server) Refresh(ctx context.Context) error {
	if s.http != nil {
		s.http.Refresh()
	}
	if s.balancer == nil {
		return nil
	}
	return s.balancer.Refresh(ctx)
}

// Status is of every certificate.
func (s *Server) Status() []certs.Status {
	var all []certs.Status
	if s.balancer != nil {
		all = s.balancer.Status()
	}
	if s.http != nil {
		all = append(all, s.http.Status()...)
	}
	return all
}

// Close closes the listeners of a server that will not Serve.
func (s *Server) Close() {
	if s.balancer != nil {
		s.balancer.Close()
	}
	if s.http != nil {
		s.http.Close()
	}
}
