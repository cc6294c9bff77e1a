package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
)

// Sockets keeps listening sockets from one generation of a configuration to the
// next. A generation that listens where the one before it does gets the very
// socket: there is no moment in which nobody listens, and no connection that
// waits to be accepted is lost. Each generation has a descriptor of its own, so
// that it may close its listener without knowing of the other; a socket is
// closed when the last of them is.
type Sockets struct {
	mu   sync.Mutex
	open map[string]net.Listener // of the generation that runs
	next map[string]net.Listener // of the one that is being made
}

// NewSockets has none yet.
func NewSockets() *Sockets { return &Sockets{} }

// Host is h with its listeners kept. class tells hosts apart that open
// different sockets for the same address.
func (s *Sockets) Host(h *Host, class string) *Host {
	kept := *h
	kept.Listen = func(ctx context.Context, network, address string) (net.Listener, error) {
		return s.listen(ctx, class+" "+network+" "+address, func() (net.Listener, error) { return h.Listen(ctx, network, address) })
	}
	return &kept
}

func (s *Sockets) listen(ctx context.Context, key string, open func() (net.Listener, error)) (net.Listener, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, twice := s.next[key]; twice {
		return nil, fmt.Errorf("listening: %w", syscall.EADDRINUSE)
	}
	ln, err := s.inherit(key)
	if ln == nil && err == nil {
		ln, err = open()
	}
	if err != nil {
		return nil, err
	}
	if s.next == nil {
		s.next = map[string]net.Listener{}
	}
	s.next[key] = ln
	return ln, nil
}

// inherit is the socket of the generation that runs, nil if it has none there.
func (s *Sockets) inherit(key string) (net.Listener, error) {
	old, ok := s.open[key]
	if !ok {
		return nil, nil
	}
	ln, err := Duplicate(old)
	if errors.Is(err, net.ErrClosed) {
		return nil, nil // its role has gone
	}
	if err != nil {
		return nil, fmt.Errorf("keeping the socket: %w", err)
	}
	return ln, nil
}

// Commit makes what has been opened since the last one the sockets to keep.
// What was not opened again stays known, for a role that goes on as it is.
func (s *Sockets) Commit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[string]net.Listener{}
	}
	for key, ln := range s.next {
		// The path of a unix socket goes with its last listener.
		if old, ok := s.open[key].(*net.UnixListener); ok {
			old.SetUnlinkOnClose(false)
		}
		if young, ok := ln.(*net.UnixListener); ok {
			young.SetUnlinkOnClose(true)
		}
		s.open[key] = ln
	}
	s.next = nil
}

// Forget drops what has been opened since the last Commit; who opened it closes
// it.
func (s *Sockets) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = nil
}
