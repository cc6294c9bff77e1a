package haproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"kasgen/runtime/balancer"
	"kasgen/runtime/certs"
	"kasgen/runtime/host"
	"kasgen/runtime/httpengine"
)

// Server is a haproxy.cfg with every listener open: the balancer, which has the
// servers of both modes, and beside it the frontends in mode http.
type Server struct {
	*balancer.Server
	host      *host.Host
	drainTime time.Duration
	web       []*httpengine.Server
	addrs     map[string]net.Addr
	upstreams map[*balancer.Peer]*httpengine.Upstream // those whose connections are shared
	limit     chan struct{}                           // a slot for each client in mode http; nil is no limit

	retire  sync.Once
	retired chan struct{}
}

// New reads the certificates and opens the listeners. A Config serves once.
func (c *Config) New(ctx context.Context, h *host.Host) (*Server, error) {
	b, err := balancer.New(ctx, c.balancer, h)
	if err != nil {
		return nil, fmt.Errorf("starting haproxy: %w", err)
	}
	s := &Server{
		Server: b, host: h, drainTime: c.balancer.Drain, addrs: b.Addrs(),
		upstreams: map[*balancer.Peer]*httpengine.Upstream{}, limit: slots(c.balancer.MaxConn), retired: make(chan struct{}),
	}
	var errs []error
	for _, b := range c.shared {
		s.share(b)
	}
	for _, f := range c.web {
		limit := slots(f.maxConn)
		for _, bind := range f.binds {
			if err := s.open(ctx, f, bind, limit); err != nil {
				errs = append(errs, fmt.Errorf("starting haproxy: frontend %s on %s: %w", f.name, bind.text, err))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// open opens one listener of a frontend in mode http.
func (s *Server) open(ctx context.Context, f *webFrontend, bind webBind, limit chan struct{}) error {
	o := httpengine.ServerOptions{
		Log: s.host.Log, HTTP1: !bind.h2, HTTP2: bind.h2 || f.upgrade || bind.speaks("h2"), Preface: bind.h2 || f.upgrade,
		// HAProxy holds the PROXY header and the handshake to the client's limit.
		Handshake: f.client, Header: f.head, Idle: f.idle, Send: f.client, Late: ownAnswer(http.StatusRequestTimeout), Refused: refused, HalfClose: true,
		MaxHeaderBytes: maxHead, MaxConcurrentStreams: f.streams,
	}
	if bind.acceptProxy {
		o.Proxy = httpengine.AnyProxy
	}
	var err error
	if o.TLS, err = bind.config(s.Certificates()); err != nil {
		return err
	}
	ln, err := s.host.Listen(ctx, bind.network, bind.text)
	if err != nil {
		return err
	}
	s.addrs[bind.text] = ln.Addr()
	s.web = append(s.web, httpengine.NewServer(limited(ln, limit, s.limit), &handler{server: s, frontend: f}, o))
	return nil
}

func (b webBind) speaks(protocol string) bool {
	if b.tls == nil {
		return false
	}
	for _, p := range b.tls.ALPN {
		if p == protocol {
			return true
		}
	}
	return false
}

func (b webBind) config(watched *certs.Watched) (*tls.Config, error) {
	if b.tls == nil {
		return nil, nil
	}
	return b.tls.Config(watched)
}

// Addrs is where each bind address really listens.
func (s *Server) Addrs() map[string]net.Addr { return s.addrs }

// Serve accepts clients until ctx is done or a listener fails. Then it closes
// the listeners, lets streams go on for the drain time, ends them, and returns
// when all is quiet. After Retire it returns when nothing is under way.
func (s *Server) Serve(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.Server.Serve(ctx) })
	for _, w := range s.web {
		g.Go(w.Serve)
		g.Go(func() error { return s.end(ctx, w) })
	}
	err := g.Wait()
	for _, u := range s.upstreams {
		u.Close()
	}
	return err
}

// end waits for the end of one listener in mode http and brings it about.
func (s *Server) end(ctx context.Context, w *httpengine.Server) error {
	select {
	case <-ctx.Done():
	case <-s.retired:
		if w.Settle(ctx) == nil {
			w.Close()
			return nil
		}
	}
	return s.drain(ctx, w)
}

// Retire closes the listeners and returns at once. What was accepted is served
// to its end, and then Serve returns.
func (s *Server) Retire() {
	s.retire.Do(func() {
		for _, w := range s.web {
			w.Retire()
		}
		close(s.retired)
	})
	s.Server.Retire()
}

// drain ends one listener in mode http within the drain time; 0 is as long as
// streams want.
func (s *Server) drain(ctx context.Context, w *httpengine.Server) error {
	ctx = context.WithoutCancel(ctx)
	if s.drainTime > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.drainTime)
		defer cancel()
	}
	if err := w.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// Close closes the listeners of a server that will not Serve.
func (s *Server) Close() {
	for _, w := range s.web {
		w.Close()
	}
	s.Server.Close()
}
