package kas

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
	"google.golang.org/grpc"

	"kasgen/internal/kasconf"
	"kasgen/runtime/accept"
	"kasgen/runtime/gitlab"
	"kasgen/runtime/host"
	"kasgen/runtime/http1"
	"kasgen/runtime/inflight"
	"kasgen/runtime/kas/agents"
	"kasgen/runtime/kas/proxy"
	"kasgen/runtime/sniff"
)

// Limits of GitLab's kas for its HTTP listeners.
const (
	headerLimit    = 10 * time.Second
	idleLimit      = 60 * time.Second
	handshakeLimit = 10 * time.Second
)

// Server is a kas with open listeners.
type Server struct {
	log     *slog.Logger
	file    *kasconf.File // with every default
	set     *kasconf.File // as it was written
	gitlab  *gitlab.Client
	service *agents.Service
	shared  *Shared
	grpc    *grpc.Server
	proxy   *proxy.Proxy // nil: no kubernetes_api section

	grpcConns  *sniff.Queue
	websockets *http1.Server
	api        *http1.Server
	accepts    []*accept.Listener
	grace      map[*accept.Listener]time.Duration
	apis       []apiServer
	observe    *http1.Server
	observeOn  *accept.Listener
	ready      readiness
	addrs      map[string]net.Addr

	requests inflight.Group // that somebody in this process has handed over
	taken    sync.Once
	retire   sync.Once
	retired  chan struct{}
}

// New reads secrets and opens every listener of the file; nothing is served
// before Serve. version names this kas to agents and clusters.
func (c *Config) New(ctx context.Context, h *host.Host, version string) (*Server, error) {
	return c.NewWith(ctx, h, version, NewShared(h))
}

// NewWith is New for a kas that may follow another one, or be followed.
func (c *Config) NewWith(ctx context.Context, h *host.Host, version string, shared *Shared) (*Server, error) {
	client, err := gitlab.New(h, gitlab.Options{Address: c.file.Gitlab.Address, SecretFile: c.file.Gitlab.AuthenticationSecretFile,
		CAFile: c.file.Gitlab.CACertificateFile, UserAgent: "gitlab-kas/kasgen-" + version,
		PerSecond: c.file.Gitlab.APIRateLimit.RefillRatePerSecond, Burst: int(c.file.Gitlab.APIRateLimit.BucketSize)})
	if err != nil {
		return nil, fmt.Errorf("kas: %w", err)
	}
	quiet := *h
	quiet.Log = leveled(h.Log, c.file.Observability.Logging.Level)
	h = &quiet
	s := &Server{log: h.Log, file: c.file, set: c.set, gitlab: client, shared: shared, grace: map[*accept.Listener]time.Duration{}, addrs: map[string]net.Addr{}, retired: make(chan struct{})}
	listen := c.file.Agent.Listen
	maxAge := time.Duration(*listen.MaxConnectionAge)
	s.service = agents.New(agents.Options{
		Log: h.Log, GitLab: client, Tunnels: shared.tunnels, ExternalURL: c.externalURL(), MaxConnectionAge: maxAge,
		InfoTTL: time.Duration(*c.file.Agent.InfoCacheTTL), InfoErrorTTL: time.Duration(*c.file.Agent.InfoCacheErrorTTL),
		PerTokenMinute: listen.ConnectionsPerTokenPerMinute, Connected: shared.connected,
	})
	s.grpc = agents.NewServer(maxAge)
	s.service.RegisterOn(s.grpc)
	if err := s.open(ctx, c, h, version); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (c *Config) externalURL() string {
	if u := c.file.Gitlab.ExternalURL; u != nil {
		return *u
	}
	return c.file.Gitlab.Address
}

// open opens the listeners in the order of the file.
func (s *Server) open(ctx context.Context, c *Config, h *host.Host, version string) error {
	if err := s.openAgents(ctx, h); err != nil {
		return err
	}
	if c.file.Agent.KubernetesAPI != nil {
		if err := s.openProxy(ctx, c, h, version); err != nil {
			return err
		}
	}
	if err := s.openAPIs(ctx, h, version); err != nil {
		return err
	}
	return s.openObservability(ctx, h)
}

func (s *Server) openAgents(ctx context.Context, h *host.Host) error {
	l := s.file.Agent.Listen
	o, err := options(h, l.CertificateFile, l.KeyFile, "h2", "http/1.1")
	if err != nil {
		return fmt.Errorf("kas: agent.listen: %w", err)
	}
	ln, err := h.Listen(ctx, network(l.Network), l.Address)
	if err != nil {
		return listenError("agent.listen", l.Address, err)
	}
	s.addrs[l.Address] = ln.Addr()
	s.grpcConns = sniff.NewQueue(ln.Addr())
	s.websockets = http1.NewServer(ln.Addr(), s.webSocketHandler(), httpLimits(), h.Log)
	if l.Websocket {
		o = overHTTP(o) // else GitLab's is a gRPC server, which says nothing
	}
	s.accept(accept.New(ln, o, func(p sniff.Protocol, conn net.Conn) {
		if p == sniff.HTTP2 {
			s.shared.intake.put(conn)
		} else {
			s.websockets.Put(conn)
		}
	}), "agent.listen")
	return nil
}

func (s *Server) openProxy(ctx context.Context, c *Config, h *host.Host, version string) error {
	k := c.file.Agent.KubernetesAPI
	o, err := options(h, k.Listen.CertificateFile, k.Listen.KeyFile, "http/1.1")
	if err != nil {
		return fmt.Errorf("kas: agent.kubernetes_api.listen: %w", err)
	}
	ln, err := h.Listen(ctx, network(k.Listen.Network), k.Listen.Address)
	if err != nil {
		return listenError("agent.kubernetes_api.listen", k.Listen.Address, err)
	}
	s.addrs[k.Listen.Address] = ln.Addr()
	origin := ""
	if u := c.file.Gitlab.ExternalURL; u != nil {
		origin = proxy.OriginOf(*u)
	}
	tokenKey, err := websocketKey(h, k.WebsocketTokenSecretFile)
	if err != nil {
		return fmt.Errorf("kas: %s: %w", kasconf.WebsocketTokenKey, err)
	}
	s.proxy = proxy.New(proxy.Options{
		Log: h.Log, GitLab: s.gitlab, Tunnels: s.shared.tunnels, Prefix: k.URLPathPrefix, Origin: origin,
		AllowedTTL: time.Duration(*k.AllowedAgentCacheTTL), ErrorTTL: time.Duration(*k.AllowedAgentCacheErrorTTL),
		TokenKey: tokenKey, Headers: k.ExtraAllowedResponseHeaders,
		FindTunnel: proxy.DefaultFindTunnel, LingerAfter: proxy.DefaultLinger, Version: version, Metrics: h.Metrics,
	})
	limits := httpLimits()
	limits.Refusal = proxy.Refusal
	s.api = http1.NewServer(ln.Addr(), s.proxy, limits, h.Log)
	s.accept(accept.New(ln, overHTTP(o), func(_ sniff.Protocol, conn net.Conn) { s.api.Put(conn) }), "agent.kubernetes_api.listen")
	return nil
}

func httpLimits() http1.Limits {
	return http1.Limits{Header: headerLimit, Idle: idleLimit, MaxHeaderBytes: http.DefaultMaxHeaderBytes}
}

// Addrs are the listeners' real addresses by those that the file names.
func (s *Server) Addrs() map[string]net.Addr { return s.addrs }

// Endpoint is one of kas's listeners for somebody in the same process, who has
// ended TLS and classified the connection.
type Endpoint struct {
	HTTP http.Handler
	GRPC func(net.Conn) // nil: no gRPC here
	// Enter begins a use of HTTP that begins now but reaches it later; its
	// end is the function that it returns. Nobody enters once this kas has
	// retired.
	Enter func() (leave func())
}

// Endpoints are the cleartext listeners by the address in the file. One with
// TLS is missing: it takes TLS only, from the same process too.
func (s *Server) Endpoints() map[string]Endpoint {
	e := map[string]Endpoint{}
	if l := s.file.Agent.Listen; l.CertificateFile == "" {
		e[l.Address] = Endpoint{HTTP: s.counted(s.webSocketHandler()), GRPC: s.shared.intake.put, Enter: s.requests.Enter}
	}
	if k := s.file.Agent.KubernetesAPI; k != nil && k.Listen.CertificateFile == "" {
		e[k.Listen.Address] = Endpoint{HTTP: s.counted(s.proxy), Enter: s.requests.Enter}
	}
	return e
}

// Serve serves until ctx is done, then drains and closes. After Retire it
// returns when nothing is under way any more.
func (s *Server) Serve(ctx context.Context) error {
	s.TakeOver()
	s.ready.set(true)
	var g errgroup.Group
	for _, a := range s.accepts {
		g.Go(a.Serve)
	}
	g.Go(func() error { return s.grpc.Serve(s.grpcConns) })
	g.Go(s.websockets.Serve)
	for _, a := range s.apis {
		g.Go(func() error { return a.grpc.Serve(a.queue) })
	}
	if s.api != nil {
		g.Go(s.api.Serve)
	}
	g.Go(s.observeOn.Serve)
	g.Go(s.observe.Serve)
	select {
	case <-ctx.Done():
	case <-s.retired:
		s.leave(ctx)
	}
	if ctx.Err() != nil {
		s.drain(context.WithoutCancel(ctx))
	}
	s.close()
	return g.Wait()
}

// Close closes a kas that will not Serve.
func (s *Server) Close() { s.close() }

// drain closes the listeners in their time, lets what is under way finish for
// the time that the file gives, and ends it then.
func (s *Server) drain(ctx context.Context) {
	s.ready.set(false)
	limit := time.Duration(*s.file.Agent.Listen.ListenGracePeriod)
	if k := s.file.Agent.KubernetesAPI; k != nil {
		limit = time.Duration(*k.Listen.ShutdownGracePeriod)
	}
	s.stopListening()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// First, so that agents are told before their calls end and are made again.
	stopped := make(chan struct{})
	go func() { s.grpc.GracefulStop(); close(stopped) }()
	s.service.Drain()
	var g errgroup.Group
	if s.api != nil {
		g.Go(func() error { return shutdown(ctx, s.api.HTTP()) })
		g.Go(func() error { s.proxy.Drain(ctx); return nil })
	}
	g.Go(func() error { return shutdown(ctx, s.websockets.HTTP()) })
	if err := g.Wait(); err != nil {
		s.log.Warn("draining kas", "error", err)
	}
	select {
	case <-stopped:
	case <-ctx.Done():
		s.grpc.Stop()
		<-stopped
	}
}

// shutdown waits for requests until ctx is done and closes what is left.
func shutdown(ctx context.Context, h *http.Server) error {
	err := h.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return h.Close()
	}
	return err
}

func (s *Server) close() {
	for _, a := range s.accepts {
		a.Close()
	}
	if s.grpcConns != nil {
		s.grpcConns.Close()
		s.websockets.HTTP().Close()
	}
	if s.api != nil {
		s.api.HTTP().Close()
	}
	if s.observe != nil {
		s.observeOn.Close()
		s.observe.HTTP().Close()
	}
	for _, a := range s.apis {
		a.grpc.Stop()
		a.queue.Close()
	}
	s.grpc.Stop()
	s.gitlab.Close()
}
