package httpengine

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// session is an HTTP/2 connection to an upstream, as one request has it.
type session struct {
	*http.ClientConn
	conn   *listening
	shared bool
}

// kept is a connection that requests share.
type kept struct {
	client *http.ClientConn
	conn   *listening
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
func (u *Upstream) open(ctx context.Context, conn *listening) (*http.ClientConn, *Failure) {
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
	heard := &listening{Conn: conn, touch: touch}
	client, failure := u.open(ctx, heard)
	if failure != nil {
		return nil, failure
	}
	return &session{ClientConn: client, conn: heard}, nil
}

// listening tells of what comes, and knows whether it is HTTP/2.
type listening struct {
	net.Conn
	touch func()
	first []byte // of what has come, up to firstSize bytes; only Read touches it
	spoke atomic.Bool
}

// An HTTP/2 server's first frame is SETTINGS, type 4 (RFC 9113, section 3.4).
const (
	firstSize    = 4
	typeAt       = 3
	typeSettings = 4
)

func (l *listening) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if n > 0 {
		l.touch()
	}
	if missing := firstSize - len(l.first); missing > 0 {
		l.first = append(l.first, p[:min(n, missing)]...)
		if len(l.first) == firstSize && l.first[typeAt] == typeSettings {
			l.spoke.Store(true)
		}
	}
	return n, err
}

// sharedSession finds a connection with a free stream, or opens one.
func (u *Upstream) sharedSession(ctx context.Context) (*session, *Failure) {
	if k, ok := u.free(); ok {
		return &session{ClientConn: k.client, conn: k.conn, shared: true}, nil
	}
	conn, failure := u.connect(ctx, "h2")
	if failure != nil {
		return nil, failure
	}
	heard := &listening{Conn: conn, touch: func() {}}
	client, failure := u.open(ctx, heard)
	if failure != nil {
		return nil, failure
	}
	err := client.Reserve()
	if err == nil {
		err = u.keep(kept{client, heard})
	}
	if err != nil {
		_ = client.Close() // what fails to close is closed
		return nil, &Failure{Stage: StageConnect, Status: http.StatusBadGateway, Err: err}
	}
	return &session{ClientConn: client, conn: heard, shared: true}, nil
}

// free is a shared connection with a stream reserved on it, if there is one.
func (u *Upstream) free() (kept, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.shared = slices.DeleteFunc(u.shared, func(k kept) bool { return k.client.Err() != nil })
	for _, k := range u.shared {
		if k.client.Reserve() == nil {
			return k, true
		}
	}
	return kept{}, false
}

func (u *Upstream) keep(k kept) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return errors.New("the upstream is closed")
	}
	u.shared = append(u.shared, k)
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
