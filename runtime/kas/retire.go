package kas

import (
	"context"
	"net/http"
	"slices"

	"golang.org/x/sync/errgroup"

	"kasgen/runtime/accept"
)

// TakeOver makes this kas the one that agents' connections go to, those
// included that an older one with the same Shared has accepted. Serve does so
// too; who retires the older one calls it before.
func (s *Server) TakeOver() { s.taken.Do(func() { s.shared.intake.point(s.grpcConns) }) }

// Retire closes the listeners and returns at once. Requests and streams go on.
// Agents are told to connect anew, and an idle tunnel ends; one that carries a
// request ends with it.
func (s *Server) Retire() {
	s.retire.Do(func() {
		for _, a := range s.listeners() {
			if err := a.Retire(); err != nil {
				s.log.Warn("closing a listener", "error", err)
			}
		}
		close(s.retired)
	})
}

func (s *Server) listeners() []*accept.Listener { return append(slices.Clone(s.accepts), s.observeOn) }

// leave waits until nothing is under way, or until ctx is done.
func (s *Server) leave(ctx context.Context) {
	for _, a := range s.listeners() {
		if a.Settle(ctx) != nil {
			return
		}
	}
	var g errgroup.Group
	g.Go(func() error { return s.observe.Retire(ctx) })
	g.Go(func() error { return s.websockets.Retire(ctx) })
	if s.api != nil {
		g.Go(func() error { return s.api.Retire(ctx) })
	}
	g.Go(func() error { return s.leaveGRPC(ctx) })
	// Before the streams: a request may still become one.
	g.Go(func() error { return s.requests.Wait(ctx) })
	if g.Wait() != nil {
		return
	}
	if s.proxy != nil {
		_ = s.proxy.Wait(ctx)
	}
}

// leaveGRPC tells agents to go, and waits for the calls that they have open.
func (s *Server) leaveGRPC(ctx context.Context) error {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.grpc.GracefulStop()
		for _, a := range s.apis {
			a.grpc.GracefulStop()
		}
	}()
	s.service.Retire()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// counted is next as somebody in this process may call it.
func (s *Server) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.requests.Enter()()
		next.ServeHTTP(w, r)
	})
}
