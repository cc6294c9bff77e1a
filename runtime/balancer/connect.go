package balancer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// upstream is a connection to a peer that was counted on its pool.
type upstream struct {
	peer *peer
	raw  net.Conn
	conn halfConn
}

// connect finds a peer that answers and sends the PROXY header. The error
// comes with its cause and the last peer that was tried, nil if none was.
func (s *Server) connect(ctx context.Context, v *View, b *Backend) (upstream, *peer, Cause, error) {
	var up upstream
	p, cause, err := s.attempt(ctx, v, b, func(p *peer) error {
		raw, conn, err := s.dial(ctx, v, b, p.Peer)
		up = upstream{peer: p, raw: raw, conn: conn}
		return err
	})
	return up, p, cause, err
}

// Try picks a peer for a client, and calls try with it, again
// and with others as the backend's Retry says while that fails. Where it did
// not, the peer is held until done is called. Try's caller makes its own use of
// connections; Dial opens them.
func (s *Server) Try(ctx context.Context, v *View, b *Backend, try func(*Peer) error) (done func(), cause Cause, err error) {
	p, cause, err := s.attempt(ctx, v, b, func(p *peer) error {
		returned := false
		defer func() {
			if !returned { // it panics
				b.Pool.release(p)
			}
		}()
		err := try(p.Peer)
		returned = true
		return err
	})
	if err != nil {
		return nil, cause, err
	}
	return func() { b.Pool.release(p) }, "", nil
}

// Dial connects to one peer of a backend within the backend's limit, PROXY
// header and TLS included.
func (s *Server) Dial(ctx context.Context, v *View, b *Backend, p *Peer) (net.Conn, error) {
	_, conn, err := s.dial(ctx, v, b, p)
	if err != nil {
		return nil, err
	}
	if whole, ok := conn.(wholeConn); ok {
		return whole.Conn, nil
	}
	return conn, nil
}

// attempt picks peers until try succeeds with one. The error comes with its
// cause and the last peer that was tried, nil if none was.
func (s *Server) attempt(ctx context.Context, v *View, b *Backend, try func(*peer) error) (*peer, Cause, error) {
	began := time.Now()
	req := pick{client: v.Client.Addr(), noWait: b.Retry.TryOnce}
	retries := b.Retry.Retries
	if retries < 0 {
		retries = len(b.Pool.peers)
	}
	var p *peer
	var failure error
	for attempt := 0; ; attempt++ {
		if p == nil {
			next, err := b.Pool.acquire(ctx, req, b.Queue)
			if err != nil {
				return nil, acquireCause(err, failure), errors.Join(failure, err)
			}
			p = next
		} else {
			b.Pool.retain(p)
		}
		err := try(p)
		if err == nil {
			b.Pool.succeeded(p)
			return p, "", nil
		}
		failure = fmt.Errorf("server %s (%s): %w", p.Name, p.Address, err)
		if b.Pool.failed(p) {
			s.log.Warn("server is taken out after failures", "backend", b.Name, "server", p.Name, "fails", p.MaxFails, "for", p.FailTimeout)
		}
		b.Pool.release(p)
		if ctx.Err() != nil || attempt >= retries || b.Retry.Total > 0 && time.Since(began) >= b.Retry.Total {
			return p, CauseConnect, failure
		}
		if b.Retry.TryOnce {
			req.tried = append(req.tried, p)
			p = nil
			continue
		}
		if b.redispatches(attempt+1, p) {
			p = nil
			if b.Retry.Spread && b.Pool.running() > 1 {
				continue // another peer is asked: no need to pause
			}
		}
		if !sleep(ctx, b.Retry.Delay) {
			return p, CauseConnect, failure
		}
	}
}

func acquireCause(err, failure error) Cause {
	switch {
	case failure != nil:
		return CauseConnect
	case errors.Is(err, context.DeadlineExceeded):
		return CauseQueue
	default:
		return CauseNoServer
	}
}

// redispatches says whether retry number n (from 1) goes to another peer.
func (b *Backend) redispatches(n int, p *peer) bool {
	r := b.Retry
	switch {
	case r.Redispatch == 0:
		return false
	case !b.Pool.isUp(p):
		return true
	case r.Spread && b.Pool.running() > 1:
		return true
	case r.Redispatch > 0:
		return n%r.Redispatch == 0
	default:
		return n == r.Retries
	}
}

// sleep waits d and tells whether ctx let it.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// dial connects to one peer within b.Connect, TLS included.
func (s *Server) dial(ctx context.Context, v *View, b *Backend, p *Peer) (net.Conn, halfConn, error) {
	if b.Connect > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, b.Connect)
		defer cancel()
	}
	raw, err := s.host.Dial(ctx, "tcp", p.Address)
	if err != nil {
		return nil, nil, err
	}
	if tcp, ok := raw.(*net.TCPConn); ok && b.KeepAlive != nil {
		if err := tcp.SetKeepAliveConfig(*b.KeepAlive); err != nil {
			return nil, nil, errors.Join(err, raw.Close())
		}
	}
	header := proxyHeader{source: v.Client, destination: v.Local}
	conn, err := s.greet(ctx, raw, p, max(b.SendProxy, p.SendProxy), header)
	if err != nil {
		return nil, nil, errors.Join(err, raw.Close())
	}
	return raw, conn, nil
}

// greet sends the PROXY header and does the TLS handshake of p.
func (s *Server) greet(ctx context.Context, raw net.Conn, p *Peer, version int, header proxyHeader) (halfConn, error) {
	if version > 0 {
		// A fresh socket takes such a header whole without blocking.
		if _, err := raw.Write(appendProxy(nil, version, header)); err != nil {
			return nil, fmt.Errorf("sending the PROXY header: %w", err)
		}
	}
	if p.TLS == nil {
		return asHalfConn(raw), nil
	}
	c := tls.Client(raw, s.clientTLS[p.TLS])
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return c, nil
}
