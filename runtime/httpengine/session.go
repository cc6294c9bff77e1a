package httpengine

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"time"
)

// session is an HTTP/2 connection to an upstream, as one request has it.
type session struct {
	*http.ClientConn
	conn   net.Conn
	shared bool
}

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

// open makes conn an HTTP/2 connection and owns it.
func (u *Upstream) open(ctx context.Context, conn net.Conn) (*http.ClientConn, *Failure) {
	size := u.MaxHeaderBytes
	if size == 0 {
		size = defaultMaxHeader
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true) // or encrypted: TLS is ours
	t := &http.Transport{
		Protocols:              protocols,
		DialContext:            func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableCompression:     true, // what the client did not ask for is not undone here
		MaxResponseHeaderBytes: int64(size),
		HTTP2:                  &http.HTTP2Config{MaxReceiveBufferPerStream: streamWindow, MaxReceiveBufferPerConnection: connectionWindow},
	}
	if u.Share {
		t.IdleConnTimeout = sharedIdle
		t.HTTP2.SendPingTimeout = sharedPing
		// A connection that takes nothing holds up every stream on it.
		t.HTTP2.WriteByteTimeout = u.Send
	}
	client, err := t.NewClientConn(ctx, "http", "upstream:0") // an address that nobody dials
	if err != nil {
		conn.Close()
		return nil, &Failure{Stage: StageConnect, Status: http.StatusBadGateway, Err: err}
	}
	return client, nil
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
	client, failure := u.open(ctx, touchConn{conn, touch})
	if failure != nil {
		return nil, failure
	}
	return &session{ClientConn: client, conn: conn}, nil
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
	if client := u.free(); client != nil {
		return &session{ClientConn: client, shared: true}, nil
	}
	conn, failure := u.connect(ctx, "h2")
	if failure != nil {
		return nil, failure
	}
	client, failure := u.open(ctx, conn)
	if failure != nil {
		return nil, failure
	}
	err := client.Reserve()
	if err == nil {
		err = u.keep(client)
	}
	if err != nil {
		_ = client.Close() // what fails to close is closed
		return nil, &Failure{Stage: StageConnect, Status: http.StatusBadGateway, Err: err}
	}
	return &session{ClientConn: client, shared: true}, nil
}

// free is a shared connection with a stream reserved on it, nil if there is
// none.
func (u *Upstream) free() *http.ClientConn {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.shared = slices.DeleteFunc(u.shared, func(c *http.ClientConn) bool { return c.Err() != nil })
	for _, c := range u.shared {
		if c.Reserve() == nil {
			return c
		}
	}
	return nil
}

func (u *Upstream) keep(c *http.ClientConn) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return errors.New("the upstream is closed")
	}
	u.shared = append(u.shared, c)
	return nil
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
