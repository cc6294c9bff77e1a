package vhost

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"kasgen/internal/diag"
	"kasgen/runtime/balancer"
	"kasgen/runtime/certs"
	"kasgen/runtime/host"
	"kasgen/runtime/httpengine"
)

// Server is a Config whose listeners are open.
type Server struct {
	config    *Config
	host      *host.Host
	log       *slog.Logger
	roots     map[string]*x509.CertPool // by file
	certs     *certs.Watched
	files     map[*server]*certs.Files // of those that have certificates
	listeners []*listener

	retire  sync.Once
	retired chan struct{}
}

type listener struct {
	net.Listener
	socket *socket
	engine *httpengine.Server
}

// Binds is the addresses that New listens on, in the file's order.
func (c *Config) Binds() []string {
	out := make([]string, len(c.sockets))
	for i, s := range c.sockets {
		out[i] = s.address
	}
	return out
}

// Cleartext is the first address that takes no TLS.
func (c *Config) Cleartext() (string, bool) {
	for _, s := range c.sockets {
		if !s.ssl {
			return s.address, true
		}
	}
	return "", false
}

// Bind is where in the file an address is listened on first.
func (c *Config) Bind(address string) (diag.Pos, bool) {
	for _, s := range c.sockets {
		if s.address == address {
			return s.pos, true
		}
	}
	return diag.Pos{}, false
}

// Files is the certificates and keys that New reads, without repetition.
func (c *Config) Files() []string { return slices.Clone(c.files) }

// Bound is how long requests and streams go on at the end.
func (c *Config) Bound(drain time.Duration) { c.drain = drain }

// Pairs is the certificates that clients are shown, with their keys and the
// names of their servers, as far as those are single names.
func (c *Config) Pairs() []certs.Served { return slices.Clone(c.pairs) }

// AnyOf are kas's names: for one of them a certificate has to be whose servers
// have no single names.
func (c *Config) AnyOf(names []string) {
	for i := range c.pairs {
		c.pairs[i].AnyOf = names
	}
}

// New reads the certificates and opens every listener, or none.
func (c *Config) New(ctx context.Context, h *host.Host) (*Server, error) {
	s := &Server{config: c, host: h, log: h.Log, roots: map[string]*x509.CertPool{}, retired: make(chan struct{}),
		certs: certs.NewWatched(certs.FilesOptions{Log: h.Log, ReadFile: h.ReadFile, Served: c.pairs}), files: map[*server]*certs.Files{}}
	if err := s.open(); err != nil {
		return nil, err
	}
	var errs []error
	for _, k := range c.sockets {
		ln, err := h.Listen(ctx, k.network, k.address)
		if err != nil {
			errs = append(errs, fmt.Errorf("listener %s: %w", k.address, err))
			continue
		}
		if k.keepAlive != nil {
			ln = &probing{Listener: ln, config: *k.keepAlive}
		}
		s.listeners = append(s.listeners, &listener{Listener: ln, socket: k, engine: httpengine.NewServer(ln, s.handler(k), s.options(k))})
	}
	if err := errors.Join(errs...); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// probing sets the kernel's probes of the connections that it accepts.
type probing struct {
	net.Listener
	config net.KeepAliveConfig
}

// Accept takes the next connection.
func (p *probing) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	if t, ok := c.(*net.TCPConn); ok && err == nil {
		_ = t.SetKeepAliveConfig(p.config) // fails on a connection that is gone already
	}
	return c, err
}

// options is how a socket is served. What comes before a request is known is
// the default server's to say, as in nginx.
func (s *Server) options(k *socket) httpengine.ServerOptions {
	first := k.servers[0].settings
	o := httpengine.ServerOptions{
		Log: s.log, HTTP1: true, HTTP2: true,
		Handshake: first.headerTimeout, Header: first.headerTimeout, Idle: first.keepalive, Send: first.sendTimeout,
		MaxHeaderBytes: maxHead, HeadLine: first.headSize, MaxConcurrentStreams: uint32(first.streams), Refused: first.refused,
	}
	if k.proxy {
		o.Proxy = httpengine.AnyProxy
	}
	if k.ssl {
		o.TLS, o.Cleartext = s.tls(k), first.cleartext
	} else {
		// The parameter makes nginx 1.22 speak HTTP/2 alone on a cleartext
		// socket, the directive of later ones makes them look first.
		o.HTTP2 = k.http2 || k.servers[0].http2
		o.HTTP1 = !k.http2 || k.servers[0].http2
	}
	return o
}

// maxHead bounds what net/http reads of a head; nginx's own limits are for a
// handler to apply.
const maxHead = 256 << 10

func (s *Server) handler(k *socket) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := &request{run: s, socket: k, w: &answer{ResponseWriter: w, bare: r.Method == http.MethodHead}, r: r, client: httpengine.ClientOf(r.Context())}
		q.describe()
		began := time.Now()
		defer func() {
			if q.settings.accessLog {
				// The path alone: a query may hold a token.
				s.log.Info("request", "client", q.remote.Addr().String(), "host", q.host, "method", r.Method, "path", q.logged(),
					"status", q.logStatus(), "bytes", q.w.sent, "upstream", q.upstream.addr, "took", time.Since(began).Round(time.Millisecond))
			}
		}()
		q.watch()
		q.serve()
		q.w.end()
		q.linger()
	})
}

func (q *request) logged() string {
	path, _, _ := strings.Cut(q.r.RequestURI, "?")
	return path
}

func (q *request) logStatus() int {
	if q.w.status > 0 {
		return q.w.status
	}
	return q.status
}

// describe takes what is known of the connection.
func (q *request) describe() {
	if c := q.client; c != nil {
		q.peer, q.local, q.source = c.Peer, c.Local, c.Source
	}
	q.remote = q.peer
	if !q.local.IsValid() {
		q.local = netip.AddrPort{}
	}
	q.at(q.socket.servers[0])
	if c := q.client; c != nil {
		q.nth = c.Requests.Add(1)
	}
	if q.r.ProtoMajor == 2 {
		q.rest()
	}
}

// rest ends a connection that has served as many requests, or for as long, as
// the place lets it. On HTTP/1 that is the location, and who is answered before
// one is chosen is only counted; on HTTP/2 the default server has the say.
func (q *request) rest() {
	if q.client == nil {
		return
	}
	s := q.settings
	if q.nth >= int64(s.keepaliveRequests) || s.keepalive == 0 || time.Since(q.client.Begun) > s.keepaliveTime {
		q.w.close()
	}
}

// Serve serves until ctx is done or a listener fails. Then it closes the
// listeners, lets requests and upgraded streams go on for the drain time, and
// ends them. After Retire it returns when nothing is under way.
func (s *Server) Serve(ctx context.Context) error {
	g, soft := errgroup.WithContext(ctx)
	for _, l := range s.listeners {
		g.Go(l.engine.Serve)
	}
	watching, stop := context.WithCancel(soft)
	defer stop()
	g.Go(func() error { s.certs.Run(watching); return nil })
	g.Go(func() error {
		defer stop()
		select {
		case <-soft.Done():
		case <-s.retired:
			stop()
			if s.settle(soft) == nil {
				s.Close()
				return nil
			}
		}
		s.Retire()
		hard, end := context.WithCancel(context.WithoutCancel(ctx))
		defer end()
		defer context.AfterFunc(soft, func() {
			if s.config.drain > 0 {
				late, stop := context.WithTimeout(hard, s.config.drain)
				defer stop()
				<-late.Done()
				end()
			}
		})()
		return s.shutdown(hard)
	})
	return g.Wait()
}

// Status is of every certificate.
func (s *Server) Status() []certs.Status { return s.certs.Status() }

// Refresh reads the certificates' files now.
func (s *Server) Refresh() { s.certs.Refresh() }

// Retire closes the listeners. What is under way goes on, and Serve returns
// when nothing is.
func (s *Server) Retire() {
	s.retire.Do(func() {
		close(s.retired)
		for _, l := range s.listeners {
			l.engine.Retire()
		}
	})
}

// settle waits for what is under way after Retire, or until ctx is done.
func (s *Server) settle(ctx context.Context) error {
	var g errgroup.Group
	for _, l := range s.listeners {
		g.Go(func() error { return l.engine.Settle(ctx) })
	}
	return g.Wait()
}

// shutdown waits for what is under way, and ends it when ctx is done.
func (s *Server) shutdown(ctx context.Context) error {
	var g errgroup.Group
	for _, l := range s.listeners {
		g.Go(func() error {
			if err := l.engine.Shutdown(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("listener %s: %w", l.socket.address, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// Close closes the listeners of a server that will not Serve.
func (s *Server) Close() {
	for _, l := range s.listeners {
		l.engine.Close()
	}
}

// Addrs is where each bind address really listens.
func (s *Server) Addrs() map[string]net.Addr {
	out := map[string]net.Addr{}
	for _, l := range s.listeners {
		out[l.socket.address] = l.Addr()
	}
	return out
}

// single is a server that has no name in the file.
func single(address string) *balancer.Pool {
	return balancer.NewPool(address, balancer.RoundRobin, false, []*balancer.Peer{{Name: address, Address: address, Weight: 1, MaxFails: 1, FailTimeout: 10 * time.Second}})
}
