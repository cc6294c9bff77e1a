package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"kasgen/internal/edgeconf"
	"kasgen/runtime/accept"
	"kasgen/runtime/certs"
	"kasgen/runtime/host"
	"kasgen/runtime/http1"
	"kasgen/runtime/relay"
	"kasgen/runtime/sniff"
)

// Endpoint is an upstream in this process: a connection is handed over to it
// rather than dialled.
type Endpoint struct {
	HTTP http.Handler
	GRPC func(net.Conn) // nil: it takes no gRPC
}

// Local finds the endpoint for an address of kas-config.yaml, if it is in this
// process. It is asked for each request, because kas may be replaced while the
// edge goes on.
type Local func(address string) (Endpoint, bool)

// Server is an edge with open listeners.
type Server struct {
	log       *slog.Logger
	drainTime time.Duration
	listeners []*listener
	upstreams map[string]*upstream
	relays    relay.Group
	served    []certs.Served // by the file
	certs     []*certs.Files
	policies  []*policy
	addrs     map[string]net.Addr

	retire  sync.Once
	retired chan struct{}
}

type listener struct {
	conf   edgeconf.Listener
	accept *accept.Listener
	http   *http1.Server
}

// New is NewWith where every certificate is in files.
func (c *Config) New(ctx context.Context, h *host.Host, local Local) (*Server, error) {
	return c.NewWith(ctx, h, local, nil)
}

// NewWith reads certificates and opens every listener; nothing is served before
// Serve. local may be nil; an upstream with TLS is never one of its endpoints.
// So may obtained.
func (c *Config) NewWith(ctx context.Context, h *host.Host, local Local, obtained Obtained) (*Server, error) {
	s := &Server{log: h.Log, drainTime: time.Duration(c.file.Drain), upstreams: map[string]*upstream{}, addrs: map[string]net.Addr{}, served: c.Pairs(),
		retired: make(chan struct{})}
	for _, u := range c.file.Upstreams {
		up, err := newUpstream(u, h, local, &s.relays)
		if err != nil {
			return nil, fmt.Errorf("edge: upstream %s: %w", u.Name, err)
		}
		s.upstreams[u.Name] = up
	}
	for _, l := range c.file.Listeners {
		if err := s.open(ctx, h, l, obtained); err != nil {
			s.close()
			return nil, fmt.Errorf("edge: listener %s on %s: %w", l.Name, l.Address, err)
		}
	}
	return s, nil
}

func (s *Server) open(ctx context.Context, h *host.Host, conf edgeconf.Listener, obtained Obtained) error {
	o := accept.Options{Log: h.Log, Handshake: time.Duration(conf.Limits.Handshake), Sniff: time.Duration(conf.Limits.Sniff)}
	switch conf.ProxyProtocol {
	case edgeconf.ProxyV1:
		o.Proxy = 1
	case edgeconf.ProxyV2:
		o.Proxy = 2
	case edgeconf.ProxyNone:
	}
	if conf.TLS != nil {
		src, err := s.source(h, *conf.TLS, obtained)
		if err != nil {
			return err
		}
		o.TLS = serverTLS(conf, src)
		p, err := newPolicy(h, *conf.TLS, o.TLS)
		if err != nil {
			return err
		}
		if p != nil {
			s.policies = append(s.policies, p)
		}
	}
	ln, err := h.Listen(ctx, "tcp", conf.Address)
	if err != nil {
		return err
	}
	s.addrs[conf.Address] = ln.Addr()
	l := &listener{conf: conf}
	l.http = http1.NewServer(ln.Addr(), s.router(conf), http1.Limits{
		Header: time.Duration(conf.Limits.Header), Idle: time.Duration(conf.Limits.Idle), MaxHeaderBytes: conf.Limits.MaxHeaderBytes,
	}, h.Log)
	l.accept = accept.New(ln, o, func(p sniff.Protocol, conn net.Conn) {
		if p == sniff.HTTP2 {
			s.grpc(conf, conn)
		} else {
			l.http.Put(conn)
		}
	})
	s.listeners = append(s.listeners, l)
	return nil
}

// grpc sends a connection that opened with the HTTP/2 preface to where the
// file says.
func (s *Server) grpc(conf edgeconf.Listener, conn net.Conn) {
	if conf.Routes.GRPC == "" {
		s.log.Info("HTTP/2 was refused: the listener has no route for gRPC", "listener", conf.Name, "client", conn.RemoteAddr().String())
		conn.Close()
		return
	}
	s.upstreams[conf.Routes.GRPC].connect(conn)
}

// Addrs are the listeners' real addresses by those that the file names.
func (s *Server) Addrs() map[string]net.Addr { return s.addrs }

// Serve serves until ctx is done, then drains and closes. After Retire it
// returns when nothing is under way any more.
func (s *Server) Serve(ctx context.Context) error {
	var g errgroup.Group
	for _, l := range s.listeners {
		g.Go(l.accept.Serve)
		g.Go(l.http.Serve)
	}
	stop := s.watch(ctx)
	defer stop()
	select {
	case <-ctx.Done():
	case <-s.retired:
		stop() // its listeners are closed: no handshake will come
		s.leave(ctx)
	}
	if ctx.Err() != nil {
		s.drain(context.WithoutCancel(ctx))
	}
	s.close()
	return g.Wait()
}

// watch keeps the listeners' certificates fresh until stop, which waits.
func (s *Server) watch(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var g errgroup.Group
	for _, c := range s.certs {
		g.Go(func() error { return c.Run(ctx) })
	}
	for _, p := range s.policies {
		g.Go(func() error { return p.run(ctx) })
	}
	return func() {
		cancel()
		_ = g.Wait() // it ends when it is told to, and for nothing else
	}
}

// Status is of every certificate in files.
func (s *Server) Status() []certs.Status {
	var all []certs.Status
	for _, c := range s.certs {
		all = append(all, c.Status()...)
	}
	return all
}

// Refresh reads the certificates' files now.
func (s *Server) Refresh(context.Context) error {
	for _, c := range s.certs {
		c.Reload()
	}
	return nil
}

// Retire closes the listeners and returns at once. Requests and streams go on;
// connections that carry none are closed.
func (s *Server) Retire() {
	s.retire.Do(func() {
		for _, l := range s.listeners {
			if err := l.accept.Retire(); err != nil {
				s.log.Warn("closing a listener", "listener", l.conf.Name, "error", err)
			}
		}
		close(s.retired)
	})
}

// leave waits until nothing is under way, or until ctx is done.
func (s *Server) leave(ctx context.Context) {
	var g errgroup.Group
	for _, l := range s.listeners {
		g.Go(func() error {
			if err := l.accept.Settle(ctx); err != nil {
				return err
			}
			return l.http.Retire(ctx)
		})
	}
	// Only then: until its handler has returned, a request may become a stream.
	if g.Wait() == nil {
		_ = s.relays.Wait(ctx)
	}
}

// Close closes an edge that will not Serve.
func (s *Server) Close() { s.close() }

// drain closes the listeners and gives requests and streams the drain time.
// Connections handed over inside the process are their new owner's to drain.
func (s *Server) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.drainTime)
	defer cancel()
	var work sync.WaitGroup
	for _, l := range s.listeners {
		if err := l.accept.Close(); err != nil {
			s.log.Warn("closing a listener", "listener", l.conf.Name, "error", err)
		}
		work.Go(func() {
			if err := l.http.HTTP().Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				s.log.Warn("draining requests", "listener", l.conf.Name, "error", err)
			}
		})
	}
	work.Go(func() { s.relays.Drain(ctx) })
	work.Wait()
}

func (s *Server) close() {
	for _, l := range s.listeners {
		l.accept.Close()
		l.http.HTTP().Close()
	}
	for _, u := range s.upstreams {
		u.close()
	}
}
