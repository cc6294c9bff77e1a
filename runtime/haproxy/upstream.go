package haproxy

import (
	"context"
	"net"

	"kasgen/runtime/balancer"
	"kasgen/runtime/httpengine"
)

// newUpstream is a server for requests of the client in v.
func (s *Server) newUpstream(b *backend, p *balancer.Peer, v *balancer.View) *httpengine.Upstream {
	return &httpengine.Upstream{
		// The balancer holds it to the limit of connecting, and ends TLS.
		Dial: func(ctx context.Context) (net.Conn, error) { return s.Dial(ctx, v, b.Backend, p) },
		Read: b.Idle, Send: b.Idle, EitherWay: true, MaxHeaderBytes: maxHead,
	}
}

// share makes the upstreams whose connections carry the requests of all
// clients: those of HTTP/2, unless each must tell of its own.
func (s *Server) share(b *backend) {
	for _, p := range b.Pool.Peers() {
		if b.speaksHTTP2(p) && p.SendProxy == 0 {
			u := s.newUpstream(b, p, &balancer.View{})
			u.Share = true
			s.upstreams[p] = u
		}
	}
}
