package httpengine

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/http2"
)

// session is an HTTP/2 connection to an upstream, as one request has it.
type session struct {
	*http2.ClientConn
	conn   net.Conn
	shared bool
}

// shared is a connection that several requests use at a time.
type shared struct {
	client *http2.ClientConn
}

func (s *shared) close() { _ = s.client.Close() } // what fails to close is closed

// Windows in bytes. A stream may run at a gigabyte a second over a millisecond,
// and a slow client holds no more than its window.
const (
	streamWindow     = 1 << 20
	connectionWindow = 4<<20 - 1 // the most that net/http takes
)

// How long a shared connection stays open without a stream, and how long it may
// be silent before it is asked whether it is still there.
const (
	sharedIdle = 60 * time.Second
	sharedPing = 30 * time.Second
)

// transport settles how HTTP/2 is spoken. It has no connections of its own.
func (u *Upstream) transport() (*http2.Transport, error) {
	size := u.MaxHeaderBytes
	if size == 0 {
		size = defaultMaxHeader
	}
	one := &http.Transport{
		DisableCompression:     true, // what the client did not ask for is not undone here
		MaxResponseHeaderBytes: int64(size),
		HTTP2:                  &http.HTTP2Config{MaxReceiveBufferPerStream: streamWindow, MaxReceiveBufferPerConnection: connectionWindow},
	}
	if u.Share {
		one.IdleConnTimeout = sharedIdle
		one.HTTP2.SendPingTimeout = sharedPing
		// A connection that takes nothing holds up every stream on it.
		one.HTTP2.WriteByteTimeout = u.Send
	}
	return http2.ConfigureTransports(one)
}

// session is a connection on which a request may be sent. touch hears of every
// byte that comes, where the connection is the request's own.
func (u *Upstream) session(ctx context.Context, touch func()) (*session, *Failure) {
	if u.Share {
		return u.sharedSession(ctx)
	}
	conn, failure := u.connect(ctx, "h2")
	if failure != nil {
		return nil, failure
	}
	client, failure := u.client(touchConn{conn, touch})
	if failure != nil {
		return nil, failure
	}
	return &session{ClientConn: client, conn: conn}, nil
}

func (u *Upstream) client(conn net.Conn) (*http2.ClientConn, *Failure) {
	t, err := u.transport()
	if err == nil {
		var client *http2.ClientConn
		if client, err = t.NewClientConn(conn); err == nil {
			return client, nil
		}
	}
	conn.Close()
	return nil, &Failure{Stage: StageConnect, Status: http.StatusBadGateway, Err: err}
}

// touchConn tells of what comes.
type touchConn struct {
	net.Conn
	touch func()
}

func (t touchConn) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if n > 0 {
		t.touch()
	}
	return n, err
}

// sharedSession finds a connection with a free stream, or opens one.
func (u *Upstream) sharedSession(ctx context.Context) (*session, *Failure) {
	u.mu.Lock()
	kept := u.shared[:0]
	var found *http2.ClientConn
	for _, s := range u.shared {
		if s.client.State().Closed {
			continue
		}
		kept = append(kept, s)
		if found == nil && s.client.ReserveNewRequest() {
			found = s.client
		}
	}
	clear(u.shared[len(kept):])
	u.shared = kept
	u.mu.Unlock()
	if found != nil {
		return &session{ClientConn: found, shared: true}, nil
	}
	conn, failure := u.connect(ctx, "h2")
	if failure != nil {
		return nil, failure
	}
	client, failure := u.client(conn)
	if failure != nil {
		return nil, failure
	}
	client.ReserveNewRequest()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		_ = client.Close() // it has no stream yet
		return nil, &Failure{Stage: StageConnect, Status: http.StatusBadGateway, Err: errors.New("the upstream is closed")}
	}
	u.shared = append(u.shared, &shared{client: client})
	return &session{ClientConn: client, shared: true}, nil
}

// abandon ends a connection of one request at once.
func (s *session) abandon() {
	if !s.shared {
		s.conn.Close()
	}
}

// release gives the connection back, or ends it.
func (s *session) release() {
	if !s.shared {
		_ = s.Close() // nothing is under way on it
	}
}
