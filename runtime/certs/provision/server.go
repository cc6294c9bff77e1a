package provision

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"kasgen/runtime/accept"
	"kasgen/runtime/certs"
	"kasgen/runtime/host"
	"kasgen/runtime/http1"
	"kasgen/runtime/sniff"
)

// Limits of who asks how it goes: of a request's head, of an answer, of a
// connection without a request, and of all that is under way at the end.
const (
	headLimit   = 10 * time.Second
	writeLimit  = 15 * time.Second
	idleLimit   = time.Minute
	answerLimit = 10 * time.Second
)

// Server is a certs.yaml with its listener open and its files there.
type Server struct {
	host   *host.Host
	source source
	client *http.Client
	export certs.Export
	web    *http1.Server
	accept *accept.Listener
	addr   string
	bound  net.Addr
	status func() []certs.Status
	files  map[string]string // that it writes, as certs.yaml names them: the certificate's ID by the file

	retire  sync.Once
	retired chan struct{}
}

// New opens the cache, writes what is in it, or a placeholder where a program
// would find nothing, and opens the listener. changed is called after
// certificates have been written, until it returns no error. status is what the
// listener tells of: of who serves what is written, too; nil: what is obtained.
func (c *Config) New(ctx context.Context, h *host.Host, changed func(context.Context) error, status func() []certs.Status) (*Server, error) {
	client, err := caClient(h, c.file.ACME.CAFile)
	if err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	obtained, err := c.obtain(ctx, h, client)
	if err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	s := &Server{host: h, client: client, addr: c.file.Observability.Listen, status: status, files: map[string]string{}, source: source{obtained, &certs.Set{}}, retired: make(chan struct{})}
	if status == nil {
		s.status = s.Status
	}
	s.export = certs.Export{Log: h.Log, Source: obtained, Changed: changed}
	for _, cert := range c.file.Certificates {
		o := certs.Output{ID: cert.Names[0], Certificate: h.At(cert.CertificateFile), Key: h.At(cert.KeyFile), Combined: h.At(cert.CombinedFile)}
		if err := s.prepare(o, cert.Names); err != nil {
			return nil, fmt.Errorf("certificates: %w", err)
		}
		s.export.Outputs = append(s.export.Outputs, o)
		for _, file := range []string{cert.CertificateFile, cert.KeyFile, cert.CombinedFile} {
			if file != "" {
				s.files[file] = o.ID
			}
		}
	}
	ln, err := h.Listen(ctx, "tcp", s.addr)
	if err != nil {
		return nil, fmt.Errorf("certificates: observability.listen: %w", err)
	}
	s.bound = ln.Addr()
	s.web = http1.NewServer(s.bound, s.handler(), http1.Limits{Header: headLimit, Idle: idleLimit, MaxHeaderBytes: http.DefaultMaxHeaderBytes}, h.Log)
	s.web.HTTP().WriteTimeout = writeLimit
	s.accept = accept.New(ln, accept.Options{Log: h.Log, Sniff: headLimit}, func(_ sniff.Protocol, c net.Conn) { s.web.Put(c) })
	return s, nil
}

// Source is for who ends TLS in this process.
func (s *Server) Source() certs.Source { return s.source }

// Renew obtains every certificate anew, now.
func (s *Server) Renew(ctx context.Context) error { return s.source.Renew(ctx) }

// Status is of every certificate.
func (s *Server) Status() []certs.Status { return s.source.Status() }

// Written are the IDs of the certificates by the files that these and their keys
// are written to.
func (s *Server) Written() map[string]string { return s.files }

// Addrs are the listeners' real addresses by those that the file names.
func (s *Server) Addrs() map[string]net.Addr { return map[string]net.Addr{s.addr: s.bound} }

// Serve obtains, renews and writes until ctx is done, or Retire.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var g errgroup.Group
	g.Go(func() error { return s.source.Run(ctx) })
	g.Go(func() error { return s.export.Run(ctx) })
	g.Go(s.accept.Serve)
	g.Go(s.web.Serve)
	select {
	case <-ctx.Done():
	case <-s.retired:
		cancel() // what is under way goes on in the cache, by whoever comes next
	}
	// Who takes our place has the same socket: what was accepted here is ours to
	// answer.
	answering, end := context.WithTimeout(context.WithoutCancel(ctx), answerLimit)
	defer end()
	s.answer(answering)
	s.Close()
	err := g.Wait()
	s.client.CloseIdleConnections()
	return err
}

// answer takes no more connections, and answers those that there are until ctx
// is done.
func (s *Server) answer(ctx context.Context) {
	if err := s.accept.Retire(); err != nil {
		s.host.Log.Warn("closing a listener", "error", err)
	}
	if s.accept.Settle(ctx) == nil {
		_ = s.web.Retire(ctx) // what is still under way is cut
	}
}

// Retire ends Serve; the files stay as they are.
func (s *Server) Retire() { s.retire.Do(func() { close(s.retired) }) }

// Close closes a server that will not Serve, or has served.
func (s *Server) Close() {
	_ = s.accept.Close() // it is closed whatever it says
	_ = s.web.HTTP().Close()
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /liveness", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.Handle("GET /readiness", certs.Readiness(s.status, time.Now))
	// A CA asks on port 80, and the server there passes it on.
	mux.Handle("/.well-known/acme-challenge/", s.source.HTTPHandler(http.NotFoundHandler()))
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.host.Metrics, promhttp.HandlerOpts{Registry: s.host.Metrics}))
	return mux
}
