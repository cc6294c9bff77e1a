package balancer

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// halfConn is a connection whose two directions end apart.
type halfConn interface {
	net.Conn
	CloseWrite() error
}

// wholeConn ends both directions where a connection knows no other way.
type wholeConn struct{ net.Conn }

func (c wholeConn) CloseWrite() error { return c.Close() }

func asHalfConn(c net.Conn) halfConn {
	if h, ok := c.(halfConn); ok {
		return h
	}
	return wholeConn{c}
}

// side is one of the two sockets of a relay. Bytes that pass it in either
// direction are activity, as HAProxy and nginx see it.
type side struct {
	conn halfConn
	raw  net.Conn
	tcp  *net.TCPConn // conn itself, where it is a plain TCP connection
	// last is when a byte passed, limit how long it may stay still, both in
	// nanoseconds; last counts from the session's start.
	last, limit atomic.Int64
	fin         time.Duration
	reading     atomic.Bool // someone waits for bytes from here
	writing     atomic.Bool // someone has bytes for here
	idle        Cause
	gone        Cause
}

func (s *side) init(conn halfConn, raw net.Conn, limit, fin time.Duration) {
	s.conn, s.raw, s.fin = conn, raw, fin
	s.tcp, _ = conn.(*net.TCPConn)
	s.limit.Store(int64(limit))
	s.reading.Store(true)
}

// relay moves the bytes of one session both ways. No deadline is set around
// a read or a write: one timer looks at when bytes last passed, and wakes a
// socket by its deadline only once it has been still for too long.
type relay struct {
	session        *session
	client, server side
	oneTimer       bool
	halfClose      bool
	clientEnded    bool // the client had ended before the relay began

	mu    sync.Mutex
	timer *time.Timer // nil without limits, and after the end
	left  atomic.Int32
}

func newRelay(ses *session, client, server halfConn) *relay {
	f, b := ses.listener.frontend, ses.backend
	clientLimit, serverLimit := f.Idle, b.Idle
	if b.Tunnel > 0 {
		clientLimit, serverLimit = b.Tunnel, b.Tunnel
	}
	r := &relay{session: ses, oneTimer: b.OneTimer, halfClose: b.HalfClose}
	r.client.init(client, ses.raw, clientLimit, f.Fin)
	r.client.idle, r.client.gone = CauseClientIdle, CauseClientAborted
	r.server.init(server, ses.peer, serverLimit, b.Fin)
	r.server.idle, r.server.gone = CauseServerIdle, CauseServerAborted
	return r
}

func (r *relay) now() int64 { return int64(time.Since(r.session.start)) }

// first sends the bytes that were read to find the route.
func (r *relay) first(b []byte) error {
	s := &r.server
	if limit := time.Duration(s.limit.Load()); limit > 0 {
		if err := s.conn.SetWriteDeadline(time.Now().Add(limit)); err != nil {
			return err
		}
	}
	n, err := s.conn.Write(b)
	r.session.sent += int64(n)
	r.session.server.stats.peeked.Add(int64(n))
	if err != nil {
		return fmt.Errorf("sending the first bytes: %w", err)
	}
	return s.conn.SetWriteDeadline(time.Time{})
}

// start runs both directions and returns at once.
func (r *relay) start() {
	now := r.now()
	r.client.last.Store(now)
	r.server.last.Store(now)
	r.left.Store(2)
	if r.client.limit.Load() > 0 || r.server.limit.Load() > 0 || r.client.fin > 0 || r.server.fin > 0 {
		r.mu.Lock()
		r.timer = time.AfterFunc(r.shortest(), r.check)
		r.mu.Unlock()
	}
	go r.run(&r.client, &r.server, &r.session.sent)
	go r.run(&r.server, &r.client, &r.session.back)
}

// shortest is the first moment at which a limit may be reached.
func (r *relay) shortest() time.Duration {
	shortest := time.Duration(1<<63 - 1)
	for _, s := range []*side{&r.client, &r.server} {
		if limit := time.Duration(s.limit.Load()); limit > 0 {
			shortest = min(shortest, limit)
		}
	}
	return shortest
}

// run is one direction; the last one to finish ends the session.
func (r *relay) run(src, dst *side, moved *int64) {
	r.finish(src, dst, r.move(src, dst, moved))
	if r.left.Add(-1) == 0 {
		r.mu.Lock()
		if r.timer != nil {
			r.timer.Stop()
			r.timer = nil
		}
		r.mu.Unlock()
		r.session.end()
	}
}

func (r *relay) move(src, dst *side, moved *int64) error {
	if src == &r.client && r.clientEnded {
		return nil
	}
	if src.tcp != nil && dst.tcp != nil {
		handled, err := r.splice(src, dst, moved)
		if handled {
			return err
		}
	}
	return r.copy(src, dst, moved)
}

// writeError marks an error as the destination's.
type writeError struct{ error }

func (e writeError) Unwrap() error { return e.error }

// finish hands the end of src on to dst: alone, if the other direction may go
// on, else together with it.
func (r *relay) finish(src, dst *side, err error) {
	src.reading.Store(false)
	var written writeError
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		// A TLS peer that leaves without close_notify has ended, too: what
		// it carried has its own framing.
	case errors.As(err, &written):
		if errors.Is(err, os.ErrDeadlineExceeded) {
			r.session.abort(dst.idle, nil)
		} else {
			r.session.abort(dst.gone, err)
		}
		return
	case errors.Is(err, os.ErrDeadlineExceeded):
		r.session.blame(src.idle)
	default:
		r.session.abort(src.gone, err)
		return
	}
	if !r.halfClose {
		r.session.abort(CauseDone, nil)
		return
	}
	if err := closeWrite(dst); err != nil {
		r.session.abort(dst.gone, err)
		return
	}
	if dst.fin > 0 {
		dst.limit.Store(int64(dst.fin))
		r.mu.Lock()
		if r.timer != nil {
			r.timer.Reset(0)
		}
		r.mu.Unlock()
	}
}

// closeWrite ends the direction towards s: close_notify where there is TLS,
// and then the FIN that tells everyone else.
func closeWrite(s *side) error {
	err := s.conn.CloseWrite()
	if h, ok := s.raw.(halfConn); ok && s.tcp == nil {
		err = errors.Join(err, h.CloseWrite())
	}
	if errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ENOTCONN) {
		return nil // that side is gone already: there is nobody to tell
	}
	return err
}

// check looks for a side that has been still for its limit, and comes back
// when the next one may be.
func (r *relay) check() {
	now := r.now()
	next := int64(1<<63 - 1)
	for _, s := range []*side{&r.client, &r.server} {
		limit := s.limit.Load()
		if limit == 0 || !s.reading.Load() && !s.writing.Load() {
			continue
		}
		last := s.last.Load()
		if r.oneTimer {
			last = max(r.client.last.Load(), r.server.last.Load())
		}
		if left := last + limit - now; left > 0 {
			next = min(next, left)
			continue
		}
		r.expire(s)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil && next < 1<<63-1 {
		r.timer.Reset(time.Duration(next))
	}
}

// expire wakes whoever waits for s. A side that does not even take bytes is
// given up; one that only sends none has ended.
func (r *relay) expire(s *side) {
	if r.oneTimer || s.writing.Load() {
		r.session.abort(s.idle, nil)
		return
	}
	// On a socket that was closed meanwhile there is nobody to wake.
	_ = s.raw.SetReadDeadline(time.Unix(1, 0))
}
