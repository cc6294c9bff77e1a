package kas

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kasgen/runtime/accept"
	"kasgen/runtime/host"
	"kasgen/runtime/http1"
	"kasgen/runtime/sniff"
)

// readiness is whether new traffic is welcome.
type readiness struct{ on atomic.Bool }

func (r *readiness) set(on bool) { r.on.Store(on) }

func (s *Server) openObservability(ctx context.Context, h *host.Host) error {
	o := s.file.Observability
	l := o.Listen
	begin, err := options(h, deref(l.CertificateFile), deref(l.KeyFile), "http/1.1")
	if err != nil {
		return fmt.Errorf("kas: observability.listen: %w", err)
	}
	ln, err := h.Listen(ctx, network(l.Network), l.Address)
	if err != nil {
		return listenError("observability.listen", l.Address, err)
	}
	s.addrs[l.Address] = ln.Addr()
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+o.LivenessProbe.URLPath, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET "+o.ReadinessProbe.URLPath, func(w http.ResponseWriter, _ *http.Request) {
		if !s.ready.on.Load() {
			http.Error(w, "kas is not serving, or is stopping", http.StatusServiceUnavailable)
		}
	})
	mux.Handle("GET "+o.Prometheus.URLPath, promhttp.HandlerFor(h.Metrics, promhttp.HandlerOpts{Registry: h.Metrics}))
	s.observe = http1.NewServer(ln.Addr(), mux, httpLimits(), h.Log)
	s.observe.HTTP().WriteTimeout = 15 * time.Second
	s.observeOn = accept.New(ln, overHTTP(begin), func(_ sniff.Protocol, conn net.Conn) { s.observe.Put(conn) })
	return nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
