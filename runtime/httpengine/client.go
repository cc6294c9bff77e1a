package httpengine

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"kasgen/runtime/accept"
	"kasgen/runtime/relay"
	"kasgen/runtime/silence"
	"kasgen/runtime/sniff"
)

// Client is what a Server knows of the connection that a request came on.
type Client struct {
	// Peer and Local are the two ends of the socket.
	Peer, Local netip.AddrPort
	// Source and Destination are the ends that the PROXY header names; not
	// valid where there was none, or one without addresses. Source is also
	// Request.RemoteAddr.
	Source, Destination netip.AddrPort
	// TLS is set where TLS was ended; Request.TLS is the same.
	TLS *tls.ConnectionState
	// Begun is when the connection was ready for its first request. Requests
	// is for a handler that counts them.
	Begun    time.Time
	Requests atomic.Int64

	streams *relay.Group
	head    headClock
	begun   func() // the first request has, or the connection has ended; may be called again
}

type clientKey struct{}

// ClientOf is the connection of a request by the request's context; nil if no
// Server of this package has it.
func ClientOf(ctx context.Context) *Client {
	c, _ := ctx.Value(clientKey{}).(*Client)
	return c
}

// describe tells what is known of c.
func describe(c net.Conn) *Client {
	k := &Client{Begun: time.Now()}
	bottom := c
	for {
		if t, ok := bottom.(*tls.Conn); ok {
			state := t.ConnectionState()
			k.TLS = &state
		}
		below, ok := bottom.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		bottom = below.NetConn()
	}
	k.Peer, k.Local = addrPort(bottom.RemoteAddr()), addrPort(bottom.LocalAddr())
	if source, destination, ok := accept.Proxied(c); ok {
		k.Source, k.Destination = addrPort(source), addrPort(destination)
	}
	return k
}

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// described carries a connection's description to where its requests begin.
type described struct {
	net.Conn
	client *Client
	late   string // see ServerOptions.Late
	one    bool   // HTTP/1.1 is spoken
	waits  *waits // for the end of a request, where a half-close is no leaving; may be nil
	refuse func(status int) string
	stuck  *silence.Watch // of HTTP/2 that the client does not take; may be nil
	told   atomic.Bool    // the client has been told instead of net/http, whose reading and writing overlap
}

// Read also answers a client whose head is late.
func (d *described) Read(p []byte) (int, error) {
	n, err := d.Conn.Read(p)
	if errors.Is(err, io.EOF) && d.waits != nil && len(p) == 1 && d.client.head.serving() {
		return 0, d.waits.wait()
	}
	// net/http reads a single byte to learn whether the client is there.
	if d.one && !d.told.Load() && len(p) > 1 && d.client.head.late(n, err) {
		if d.late != "" {
			tell(d.Conn, d.late)
		}
		d.told.Store(true)
	}
	return n, err
}

// Write is that of a server which answers half a head with a 400, sometimes,
// and has been forestalled.
func (d *described) Write(p []byte) (int, error) {
	if d.told.Load() {
		return len(p), nil
	}
	if word := d.refusal(p); word != "" {
		d.told.Store(true)
		if _, err := io.WriteString(d.Conn, word); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	return d.Conn.Write(p)
}

// refusal is what is said instead of p, where that is net/http's own answer to
// a head that it cannot read.
func (d *described) refusal(p []byte) string {
	text, ok := bytes.CutPrefix(p, []byte("HTTP/1.1 "))
	if !ok || d.refuse == nil || len(text) < 3 || !d.client.head.reading() {
		return ""
	}
	status, err := strconv.Atoi(string(text[:3]))
	if err != nil {
		return ""
	}
	return d.refuse(status)
}

// HeadRead hears that the head of a request is complete.
func (d *described) HeadRead() { d.client.head.read() }

// SetReadDeadline and SetDeadline also wake who waits.
func (d *described) SetReadDeadline(t time.Time) error {
	d.waits.deadline(t)
	return d.Conn.SetReadDeadline(t)
}

// SetDeadline is that of both directions.
func (d *described) SetDeadline(t time.Time) error {
	d.waits.deadline(t)
	return d.Conn.SetDeadline(t)
}

// Close closes the connection.
func (d *described) Close() error {
	d.client.begun()
	d.stuck.Stop()
	d.waits.close()
	return d.Conn.Close()
}

// NetConn and Below are the connection itself.
func (d *described) NetConn() net.Conn { return d.Conn }
func (d *described) Below() net.Conn   { return d.Conn }

// CloseWrite closes the sending direction.
func (d *described) CloseWrite() error { return sniff.CloseWrite(d.Conn) }

// Unread lets a copy go past it.
func (d *described) Unread() ([]byte, net.Conn) { return nil, d.Conn }

// prepared gives a request what net/http does not: the TLS state, which it does
// not see below, and the right to be answered before its body is read.
func prepared(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := ClientOf(r.Context())
		r.TLS = c.TLS
		if r.ProtoMajor != 1 {
			next.ServeHTTP(w, r)
			return
		}
		c.begun()
		c.head.enter()
		defer c.head.leave()
		if r.ContentLength != 0 {
			// Otherwise net/http waits for a body that nobody asked for, before
			// the answer and, without a limit, behind it.
			rc := http.NewResponseController(w)
			_ = rc.EnableFullDuplex() // HTTP/1.1 has it
			b := &sawEnd{ReadCloser: r.Body}
			// In a copy: net/http looks at its own request's body to know
			// whether another request may follow.
			r = r.WithContext(r.Context())
			r.Body = b
			defer func() {
				if !b.ended.Load() {
					_ = rc.SetReadDeadline(time.Now().Add(lingerLimit)) // fails once it is upgraded
				}
			}()
		}
		next.ServeHTTP(w, r)
	})
}

// sawEnd knows whether a body has been read to its end.
type sawEnd struct {
	io.ReadCloser
	ended atomic.Bool
}

func (s *sawEnd) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		s.ended.Store(true)
	}
	return n, err
}
