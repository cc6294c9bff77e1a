package httpengine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"kasgen/runtime/relay"
)

// Upstream is where requests go: one address. It is not copied.
type Upstream struct {
	// Dial connects; its context is the request's, with Connect as a limit,
	// so that ClientOf works in it.
	Dial func(ctx context.Context) (net.Conn, error)
	// TLS is spoken to the upstream; nil is cleartext. GRPC asks for ALPN h2
	// whatever it says.
	TLS *tls.Config
	// Connect limits the connecting, TLS included. Read limits the upstream's
	// silence, once it has the whole request or has begun to answer; Send
	// limits a write that it does not take. 0 is no limit.
	Connect, Read, Send time.Duration
	// EitherWay makes bytes that the upstream is sent break its silence as
	// well, and limits it from the beginning, as HAProxy does.
	EitherWay bool
	// MaxHeaderBytes bounds the head of an answer; 0 is 64 KiB.
	MaxHeaderBytes int
	// Share makes GRPC send all requests over one connection, as HAProxy
	// does, and open another where its streams are used up; otherwise every
	// request has its own, as with nginx.
	Share bool

	streams relay.Group // of clients that no Server has
	mu      sync.Mutex
	shared  []kept
	closed  bool
}

// defaultMaxHeader is the bound of a head in bytes: above nginx's 8 KiB and
// HAProxy's 16.
const defaultMaxHeader = 64 << 10

// Outgoing is a request as it is sent.
type Outgoing struct {
	Method string
	// Version10 makes HTTP1 say HTTP/1.0, as nginx does unless told otherwise;
	// the length of Body must then be known.
	Version10 bool
	// Target is the request target, escaped as it is to be sent.
	Target string
	// Host is the header of that name, or :authority.
	Host string
	// Scheme is :scheme; "" is https where the upstream has TLS, and http.
	Scheme string
	// Header is everything else. HTTP1 sends it as it is, Connection, Upgrade
	// and TE included, and adds only what Body needs; GRPC leaves out what
	// HTTP/2 does not have.
	Header http.Header
	// Body is what follows the head; nil is nothing. It is read until the
	// answer is complete, and not afterwards.
	Body io.Reader
	// ContentLength is the length of Body, -1 for one that is not known.
	ContentLength int64
}

func (o *Outgoing) hasBody() bool { return o.Body != nil && o.ContentLength != 0 }

// ClientLimits bound how long a client may hold a request.
type ClientLimits struct {
	// Body limits the client's silence within its body, Send a write that it
	// does not take; 0 is no limit.
	Body, Send time.Duration
}

// Response is an upstream's answer before it is passed on.
type Response struct {
	Status int
	// Header may be changed. What concerns one connection only is not in it.
	Header http.Header
	// Body is for who answers the client in another way.
	Body io.Reader
	// ContentLength is -1 where it is not known.
	ContentLength int64
}

// connect opens a connection. The error is a Failure.
func (u *Upstream) connect(ctx context.Context, alpn string) (net.Conn, *Failure) {
	dialing := ctx
	if u.Connect > 0 {
		var cancel context.CancelFunc
		dialing, cancel = context.WithTimeout(ctx, u.Connect)
		defer cancel()
	}
	c, err := u.dial(dialing, alpn)
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		return nil, gone(ctx)
	case dialing.Err() != nil:
		return nil, &Failure{Stage: StageConnect, Status: http.StatusGatewayTimeout, Err: fmt.Errorf("no connection after %v: %w", u.Connect, err)}
	default:
		return nil, &Failure{Stage: StageConnect, Status: http.StatusBadGateway, Err: err}
	}
}

func (u *Upstream) dial(ctx context.Context, alpn string) (net.Conn, error) {
	c, err := u.Dial(ctx)
	if err != nil || u.TLS == nil {
		return c, err
	}
	conf := u.TLS
	if alpn != "" {
		conf = conf.Clone()
		conf.NextProtos = []string{alpn}
	}
	t := tls.Client(c, conf)
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	if got := t.ConnectionState().NegotiatedProtocol; alpn != "" && got != alpn && got != "" {
		c.Close()
		return nil, fmt.Errorf("TLS handshake: the upstream speaks %s, not %s", got, alpn)
	}
	return t, nil
}

// gone is the failure of a request whose client has left.
func gone(ctx context.Context) *Failure {
	return &Failure{Stage: StageRequest, Status: StatusGone, Err: context.Cause(ctx)}
}

// unread is the failure of a request whose body could not be read.
func unread(err error) *Failure {
	f := &Failure{Stage: StageRequest, Status: http.StatusBadRequest, Err: fmt.Errorf("reading the request: %w", err)}
	var large *http.MaxBytesError
	switch {
	case errors.Is(err, ErrBodyTooLarge), errors.As(err, &large):
		f.Status = http.StatusRequestEntityTooLarge
	case errors.Is(err, errLate):
		f.Status = http.StatusRequestTimeout
	}
	return f
}

// errLate is a client that has kept silent within its body for too long.
var errLate = errors.New("the client sends nothing")

// Close ends the connections that are shared.
func (u *Upstream) Close() {
	u.mu.Lock()
	conns := u.shared
	u.shared, u.closed = nil, true
	u.mu.Unlock()
	for _, k := range conns {
		_ = k.client.Close() // what fails to close is closed
	}
}
