package httpengine

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"kasgen/runtime/accept"
	"kasgen/runtime/relay"
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
}

// NetConn and Below are the connection itself.
func (d *described) NetConn() net.Conn { return d.Conn }
func (d *described) Below() net.Conn   { return d.Conn }

// CloseWrite closes the sending direction.
func (d *described) CloseWrite() error { return sniff.CloseWrite(d.Conn) }

// Unread lets a copy go past it.
func (d *described) Unread() ([]byte, net.Conn) { return nil, d.Conn }

// withTLS gives a request the TLS state that net/http does not see below.
func withTLS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := ClientOf(r.Context()); c != nil {
			r.TLS = c.TLS
		}
		next.ServeHTTP(w, r)
	})
}
