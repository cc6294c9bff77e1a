package kas

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kasgen/runtime/host"
)

// readiness is whether new traffic is welcome.
type readiness struct{ on atomic.Bool }

func (r *readiness) set(on bool) { r.on.Store(on) }

func (s *Server) openObservability(ctx context.Context, h *host.Host) error {
	o := s.file.Observability
	l := o.Listen
	ln, err := h.Listen(ctx, network(l.Network), l.Address)
	if err != nil {
		return listenError("observability.listen", l.Address, err)
	}
	s.addrs[l.Address], s.observeOn = ln.Addr(), ln
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+o.LivenessProbe.URLPath, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET "+o.ReadinessProbe.URLPath, func(w http.ResponseWriter, _ *http.Request) {
		if !s.ready.on.Load() {
			http.Error(w, "kas is not serving, or is stopping", http.StatusServiceUnavailable)
		}
	})
	mux.Handle("GET "+o.Prometheus.URLPath, promhttp.HandlerFor(h.Metrics, promhttp.HandlerOpts{Registry: h.Metrics}))
	s.observe = &http.Server{Handler: mux, ReadHeaderTimeout: time.Second, WriteTimeout: 15 * time.Second}
	return nil
}

func (s *Server) serveObservability() error {
	defer s.observing.Enter()()
	if err := s.observe.Serve(s.observeOn); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
