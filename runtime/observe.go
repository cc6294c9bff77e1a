package runtime

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kasgen/runtime/certs"
	"kasgen/runtime/host"
)

// Limits of who asks how it goes: of a request's head, of an answer, and of a
// connection without a request.
const (
	askLimit    = 10 * time.Second
	answerLimit = 15 * time.Second
	silentLimit = time.Minute
)

// observe serves liveness, readiness and metrics of all that r runs, at an
// address of its own: edge and front have none in their files.
func observe(ctx context.Context, h *host.Host, address string, r *Running) (end func() error, err error) {
	ln, err := h.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--observability: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /liveness", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.Handle("GET /readiness", certs.Readiness(r.Status, time.Now))
	mux.Handle("GET /metrics", promhttp.HandlerFor(h.Metrics, promhttp.HandlerOpts{Registry: h.Metrics}))
	s := &http.Server{Handler: mux, ReadHeaderTimeout: askLimit, WriteTimeout: answerLimit, IdleTimeout: silentLimit}
	h.Log.Info("listening", "address", ln.Addr().String(), "for", "observability")
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ln) }()
	return func() error {
		_ = s.Close() // Serve says how it ended
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}, nil
}
