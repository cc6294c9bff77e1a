package agent

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	tlsHandshakeTimeout = 10 * time.Second
	// maxInformational is how many 1xx heads may precede an answer: net/http's.
	maxInformational = 5
)

// upgradeTransport makes each request on an HTTP/1.1 connection of its own,
// which is the body of an answer with status 101. net/http's transport does
// not tell when a request is written whole, and nothing of the new protocol
// may go before that.
type upgradeTransport struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	tls  *tls.Config
}

func newUpgradeTransport(dial func(context.Context, string, string) (net.Conn, error), c *tls.Config) *upgradeTransport {
	c = c.Clone()
	c.NextProtos = []string{"http/1.1"} // HTTP/2 has no Upgrade
	return &upgradeTransport{dial: dial, tls: c}
}

// RoundTrip closes the connection when the request's context ends, at any
// time.
func (t *upgradeTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	conn, err := t.connect(ctx, request)
	if err != nil {
		if request.Body != nil {
			_ = request.Body.Close() // a RoundTripper's duty
		}
		return nil, err
	}
	o := &ownConn{
		conn:    conn,
		reader:  bufio.NewReader(conn),
		written: make(chan struct{}),
		request: request,
		keep:    context.AfterFunc(ctx, func() { _ = conn.Close() }),
	}
	go func() {
		defer close(o.written)
		o.writeErr = request.Write(conn)
	}()
	response, err := o.answer()
	if err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return response, nil
}

func (t *upgradeTransport) connect(ctx context.Context, request *http.Request) (net.Conn, error) {
	port := request.URL.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[request.URL.Scheme]
	}
	conn, err := t.dial(ctx, "tcp", net.JoinHostPort(request.URL.Hostname(), port))
	if err != nil || request.URL.Scheme == "http" {
		return conn, err
	}
	config := t.tls
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName = request.URL.Hostname()
	}
	secure := tls.Client(conn, config)
	ctx, cancel := context.WithTimeout(ctx, tlsHandshakeTimeout)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secure, nil
}

// ownConn is the connection of one request, and after status 101 the stream
// that follows. The reader may hold bytes that came with the head.
type ownConn struct {
	conn     net.Conn
	reader   *bufio.Reader
	request  *http.Request
	written  chan struct{} // closed when the request is written or has failed
	writeErr error
	keep     func() bool // stops watching the context
}

func (o *ownConn) answer() (*http.Response, error) {
	for range maxInformational + 1 {
		response, err := http.ReadResponse(o.reader, o.request)
		switch {
		case err != nil:
			return nil, fmt.Errorf("reading the answer: %w", err)
		case response.StatusCode == http.StatusSwitchingProtocols:
			return o.switched(response)
		case response.StatusCode >= 200:
			// An answer may come before the request is written: it counts.
			response.Body = &ownBody{Reader: response.Body, conn: o}
			return response, nil
		}
	}
	return nil, errors.New("reading the answer: too many informational heads")
}

func (o *ownConn) switched(response *http.Response) (*http.Response, error) {
	select {
	case <-o.written:
	case <-o.request.Context().Done():
		return nil, o.request.Context().Err()
	}
	if o.writeErr != nil {
		return nil, fmt.Errorf("writing the request: %w", o.writeErr)
	}
	response.Body = o
	return response, nil
}

func (o *ownConn) Read(p []byte) (int, error)  { return o.reader.Read(p) }
func (o *ownConn) Write(p []byte) (int, error) { return o.conn.Write(p) }

// Close returns when nothing of the request runs any more.
func (o *ownConn) Close() error {
	o.keep()
	err := o.conn.Close()
	if o.request.Body != nil {
		_ = o.request.Body.Close() // the write may hang on it
	}
	<-o.written
	if errors.Is(err, net.ErrClosed) {
		return nil // the context was faster
	}
	return err
}

// ownBody is the body of an ordinary answer to a request for an upgrade.
type ownBody struct {
	io.Reader
	conn *ownConn
}

func (b *ownBody) Close() error { return b.conn.Close() }
