package balancer

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// session is one client from accept to the last byte.
type session struct {
	server   *Server
	listener *listener
	raw      net.Conn // the client's socket
	start    time.Time
	leave    func() // the server's running

	mu     sync.Mutex
	cause  Cause
	failed error
	closed bool
	peer   net.Conn // the server's socket, once there is one

	backend    *Backend
	peerState  *peer
	from       netip.AddrPort
	sent, back int64 // bytes towards the server and towards the client
}

// serve carries one client up to the relay. It then hands over to fresh
// goroutines, so that an idle stream does not keep the stack that a handshake
// or a dial has grown.
func (s *Server) serve(ctx context.Context, l *listener, c net.Conn, leave func()) {
	ses := &session{server: s, listener: l, raw: c, start: time.Now(), leave: leave}
	s.mu.Lock()
	s.sessions[ses] = struct{}{}
	s.mu.Unlock()
	if ctx.Err() != nil {
		ses.abort(CauseDrained, nil)
	}
	r, cause, err := ses.open(ctx)
	if err != nil || r == nil {
		ses.abort(cause, err)
		ses.end()
		return
	}
	r.start()
}

// end closes what is open and writes the log line; it runs once, last.
func (ses *session) end() {
	ses.abort(CauseDone, nil)
	s := ses.server
	if ses.peerState != nil {
		ses.backend.Pool.release(ses.peerState)
	}
	s.mu.Lock()
	delete(s.sessions, ses)
	s.mu.Unlock()
	ses.log()
	give(s.limit)
	give(ses.listener.limit)
	ses.leave()
}

// abort closes both sockets, which wakes whoever waits on them. The first
// cause is kept.
func (ses *session) abort(cause Cause, err error) {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	if ses.cause == "" {
		ses.cause, ses.failed = cause, err
	}
	if ses.closed {
		return
	}
	ses.closed = true
	// A socket that fails to close is gone all the same.
	_ = ses.raw.Close()
	if ses.peer != nil {
		_ = ses.peer.Close()
	}
}

// blame keeps the first cause without closing anything.
func (ses *session) blame(cause Cause) {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	if ses.cause == "" {
		ses.cause = cause
	}
}

// attach makes the server's socket part of the session, unless that has
// ended.
func (ses *session) attach(c net.Conn) bool {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	if ses.closed {
		_ = c.Close()
		return false
	}
	ses.peer = c
	return true
}

// open does everything before the relay: PROXY header, TLS, route, backend,
// first bytes.
func (ses *session) open(ctx context.Context) (*relay, Cause, error) {
	s, l := ses.server, ses.listener
	if tcp, ok := ses.raw.(*net.TCPConn); ok && l.bind.KeepAlive != nil {
		if err := tcp.SetKeepAliveConfig(*l.bind.KeepAlive); err != nil {
			return nil, CauseClientAborted, err
		}
	}
	v := &View{Client: addrPort(ses.raw.RemoteAddr()), Local: addrPort(ses.raw.LocalAddr())}
	ses.from = v.Client
	p := s.newPeek(l.frontend.Peek)
	defer p.free()
	client, cause, err := ses.handshake(ctx, v, p)
	if err != nil {
		return nil, cause, err
	}
	decision, err := ses.route(v, client, p)
	if err != nil || decision.Backend == nil {
		return nil, decision.Cause, err
	}
	b := decision.Backend
	ses.backend = b
	up, tried, cause, err := s.connect(ctx, v, b)
	if err != nil {
		if tried != nil {
			s.log.Warn("connection to backend failed", "frontend", l.frontend.Name, "backend", b.Name, "server", tried.Name, "client", v.Client, "cause", string(cause), "error", err)
		}
		return nil, cause, err
	}
	ses.peerState = up.peer
	if !ses.attach(up.raw) {
		return nil, CauseDrained, context.Canceled
	}
	r := newRelay(ses, client, up.conn)
	if len(p.bytes) > 0 {
		if err := r.first(p.bytes); err != nil {
			return nil, CauseServerAborted, err
		}
	}
	if v.Ended {
		r.clientEnded = true
	}
	return r, "", nil
}

// handshake reads the PROXY header and ends TLS, where the bind asks for it.
func (ses *session) handshake(ctx context.Context, v *View, p *peek) (halfConn, Cause, error) {
	l := ses.listener
	if !l.bind.AcceptProxy && l.tls == nil {
		return asHalfConn(ses.raw), "", nil
	}
	if l.bind.AcceptProxy {
		if err := ses.within(l.frontend.Header); err != nil {
			return nil, CauseClientAborted, err
		}
		header, err := p.proxyHeader(ses.raw)
		if err != nil {
			return nil, CauseHeader, err
		}
		if header.source.IsValid() && (l.bind.Trusted == nil || l.bind.Trusted(v.Client.Addr())) {
			v.Client = header.source
			ses.from = v.Client
			if !l.bind.KeepLocal {
				v.Local = header.destination
			}
		}
	}
	client := asHalfConn(ses.raw)
	if l.tls != nil {
		if err := ses.within(l.frontend.Handshake); err != nil {
			return nil, CauseClientAborted, err
		}
		conn := tls.Server(p.replay(ses.raw), l.tls)
		if err := conn.HandshakeContext(ctx); err != nil {
			return nil, CauseHandshake, err
		}
		state := conn.ConnectionState()
		v.TLS = &state
		client = conn
	}
	return client, "", ses.raw.SetDeadline(time.Time{})
}

// within gives the client that long for what comes next.
func (ses *session) within(limit time.Duration) error {
	if limit == 0 {
		return ses.raw.SetDeadline(time.Time{})
	}
	return ses.raw.SetDeadline(time.Now().Add(limit))
}

// route asks the frontend until it decides.
func (ses *session) route(v *View, client halfConn, p *peek) (Decision, error) {
	f := ses.listener.frontend
	v.Payload = p.bytes
	v.Expired = f.Inspect == 0
	deadline := time.Now().Add(f.Inspect)
	waiting := false
	for {
		d := f.Route(v)
		if !d.Wait || v.Final() {
			if waiting {
				return d, client.SetReadDeadline(time.Time{})
			}
			return d, nil
		}
		if !waiting {
			waiting = true
			if err := client.SetReadDeadline(deadline); err != nil {
				return Decision{Cause: CauseClientAborted}, err
			}
		}
		err := p.more(client)
		v.Payload = p.bytes
		switch {
		case err == nil:
			v.Full = p.full()
		case errors.Is(err, os.ErrDeadlineExceeded):
			v.Expired = true
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			v.Ended = true
		default:
			return Decision{Cause: CauseClientAborted}, err
		}
	}
}

// log writes the connection's line.
func (ses *session) log() {
	f := ses.listener.frontend
	clean := ses.cause == CauseDone
	if !f.LogConnections && clean || f.SkipEmpty && ses.sent+ses.back == 0 && ses.backend == nil {
		return
	}
	attrs := []any{
		"frontend", f.Name, "client", ses.from.String(), "cause", string(ses.cause),
		"ms", time.Since(ses.start).Milliseconds(), "sent", ses.sent, "received", ses.back,
	}
	if ses.backend != nil {
		attrs = append(attrs, "backend", ses.backend.Name)
	}
	if ses.peerState != nil {
		attrs = append(attrs, "server", ses.peerState.Name)
	}
	if ses.failed != nil {
		attrs = append(attrs, "error", ses.failed)
	}
	ses.server.log.Info("connection ended", attrs...)
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}
