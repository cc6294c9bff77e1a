package balancer

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"kasgen/runtime/certs"
	"kasgen/runtime/host"
	"kasgen/runtime/inflight"
)

// Server is a balancer whose listeners are open.
type Server struct {
	config    *Config
	host      *host.Host
	log       *slog.Logger
	listeners []*listener
	clientTLS map[*ClientTLS]*tls.Config
	certs     *certs.Watched
	limit     chan struct{} // a slot for each client; nil is no limit
	peeks     sync.Pool     // *[]byte, for first bytes
	buffers   sync.Pool     // *[]byte, for copies through user space
	pipes     *pipes
	stats     counters

	mu       sync.Mutex
	sessions map[*session]struct{}
	running  inflight.Group

	retire  sync.Once
	retired chan struct{}
}

type listener struct {
	net.Listener
	frontend *Frontend
	bind     *Bind
	tls      *tls.Config
	limit    chan struct{}
}

type counters struct {
	spliced, copied, peeked atomic.Int64
}

// Stats is how many bytes went which way so far.
type Stats struct {
	Spliced int64 // inside the kernel
	Copied  int64 // through user space, TLS included
	Peeked  int64 // read to find the route, and sent first
	Active  int   // connections now
}

// New reads the certificates and opens every listener, or none.
func New(ctx context.Context, config *Config, h *host.Host) (*Server, error) {
	s := &Server{
		config:    config,
		host:      h,
		log:       h.Log,
		clientTLS: map[*ClientTLS]*tls.Config{},
		certs:     certs.NewWatched(certs.FilesOptions{Log: h.Log, ReadFile: h.ReadFile, Served: config.Served}),
		limit:     slots(config.MaxConn),
		pipes:     newPipes(),
		sessions:  map[*session]struct{}{},
		retired:   make(chan struct{}),
	}
	s.buffers.New = func() any { b := make([]byte, copySize); return &b }
	if err := errors.Join(s.loadClientTLS(), s.listen(ctx)); err != nil {
		return nil, errors.Join(err, s.closeListeners())
	}
	return s, nil
}

func slots(n int) chan struct{} {
	if n == 0 {
		return nil
	}
	return make(chan struct{}, n)
}

func (s *Server) loadClientTLS() error {
	var errs []error
	for _, pool := range s.config.Pools {
		for _, p := range pool.peers {
			if p.TLS == nil || s.clientTLS[p.TLS] != nil {
				continue
			}
			c, err := p.TLS.config(s.host.ReadFile)
			if err != nil {
				errs = append(errs, fmt.Errorf("server %s/%s: %w", pool.Name, p.Name, err))
				continue
			}
			if c.ServerName == "" && !c.InsecureSkipVerify {
				c.ServerName, _, _ = net.SplitHostPort(p.Address)
			}
			s.clientTLS[p.TLS] = c
		}
	}
	return errors.Join(errs...)
}

func (s *Server) listen(ctx context.Context) error {
	var errs []error
	for _, f := range s.config.Frontends {
		limit := slots(f.MaxConn)
		for _, b := range f.Binds {
			l := &listener{frontend: f, bind: b, limit: limit}
			var err error
			if b.TLS != nil {
				if l.tls, err = b.TLS.Config(s.certs); err != nil {
					errs = append(errs, fmt.Errorf("listener %s: %w", b.Address, err))
					continue
				}
			}
			if l.Listener, err = s.host.Listen(ctx, cmp.Or(b.Network, "tcp"), b.Address); err != nil {
				errs = append(errs, fmt.Errorf("listener %s: %w", b.Address, err))
				continue
			}
			s.listeners = append(s.listeners, l)
		}
	}
	return errors.Join(errs...)
}

// Close closes the listeners of a server that will not Serve.
func (s *Server) Close() { _ = s.closeListeners() } // what fails to close is not used either

func (s *Server) closeListeners() error {
	var errs []error
	for _, l := range s.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Addrs is where each bind address really listens.
func (s *Server) Addrs() map[string]net.Addr {
	out := map[string]net.Addr{}
	for _, l := range s.listeners {
		out[l.bind.Address] = l.Addr()
	}
	return out
}

// Certificates are those of every listener.
func (s *Server) Certificates() *certs.Watched { return s.certs }

// Status is of every certificate.
func (s *Server) Status() []certs.Status { return s.certs.Status() }

// Refresh reads the certificates' files now.
func (s *Server) Refresh(context.Context) error { s.certs.Refresh(); return nil }

// Stats is the traffic so far.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Spliced: s.stats.spliced.Load(), Copied: s.stats.copied.Load(),
		Peeked: s.stats.peeked.Load(), Active: len(s.sessions),
	}
}

// Retire closes the listeners and checks no more peers. Clients that were
// accepted are served to their end, and then Serve returns.
func (s *Server) Retire() {
	s.retire.Do(func() {
		close(s.retired)
		if err := s.closeListeners(); err != nil {
			s.log.Warn("closing a listener", "error", err)
		}
	})
}

// Serve accepts clients until ctx is done or a listener fails. Then it closes
// the listeners, lets streams go on for the drain time, ends them, and
// returns when all is quiet.
func (s *Server) Serve(ctx context.Context) error {
	hard, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, soft := errgroup.WithContext(ctx)
	for _, l := range s.listeners {
		g.Go(func() error { return s.accept(soft, hard, l) })
	}
	checking, stopChecks := context.WithCancel(soft)
	defer stopChecks()
	g.Go(func() error { s.certs.Run(checking); return nil })
	for _, pool := range s.config.Pools {
		for _, p := range pool.peers {
			if p.Check != nil && !p.Down {
				g.Go(func() error { s.check(checking, pool, p); return nil })
			}
		}
	}
	select {
	case <-soft.Done():
	case <-s.retired:
		stopChecks()
		_ = g.Wait()            // its error is told below
		_ = s.running.Wait(ctx) // if ctx ends it, there is something to drain
	}
	err := errors.Join(s.closeListeners(), g.Wait())
	s.drain(stop)
	s.pipes.close()
	return err
}

// drain waits for the streams, and ends those that outlast the drain time.
func (s *Server) drain(stop context.CancelFunc) {
	if s.config.Drain > 0 {
		t := time.AfterFunc(s.config.Drain, func() {
			stop()
			s.mu.Lock()
			defer s.mu.Unlock()
			for c := range s.sessions {
				c.abort(CauseDrained, nil)
			}
		})
		defer t.Stop()
	}
	_ = s.running.Wait(context.Background()) // cannot fail
}

const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
)

// accept takes clients from one listener. Running out of descriptors is a
// reason to wait, not to stop.
func (s *Server) accept(soft, hard context.Context, l *listener) error {
	pause := minAcceptPause
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			pause = minAcceptPause
		case soft.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		default:
			s.log.Error("accepting failed", "frontend", l.frontend.Name, "address", l.bind.Address, "error", err)
			if !sleep(soft, pause) {
				return nil
			}
			pause = min(2*pause, maxAcceptPause)
			continue
		}
		if !take(soft, l.limit) {
			_ = c.Close()
			return nil
		}
		if !take(soft, s.limit) {
			give(l.limit)
			_ = c.Close()
			return nil
		}
		go s.serve(hard, l, c, s.running.Enter())
	}
}

func take(ctx context.Context, slots chan struct{}) bool {
	if slots == nil {
		return true
	}
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func give(slots chan struct{}) {
	if slots != nil {
		<-slots
	}
}
