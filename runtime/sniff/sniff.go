// Package sniff tells HTTP/2 from HTTP/1.1 by the first bytes of a connection,
// whatever ALPN said, and hands the connection on. It knows neither routes nor
// what the protocols carry. Its law: no byte is lost, and a client that sends
// nothing is held no longer than the deadline.
//
// ALPN alone would not do: agents arrive with ALPN h2, without ALPN, and with
// ALPN http/1.1 and an HTTP/2 preface all the same.
package sniff

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// Preface is what every HTTP/2 client sends first (RFC 9113, section 3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Protocol is what a connection speaks.
type Protocol string

// The protocols that a connection may speak.
const (
	HTTP1 Protocol = "http/1.1" // or anything that is not HTTP/2
	HTTP2 Protocol = "h2"
)

// Detect reads until it is known what c speaks: a complete preface is HTTP/2,
// the first byte that differs from it makes it HTTP/1.1. The connection that
// it returns begins with the bytes that were read. The error is that of the
// read; a deadline of 0 means none.
func Detect(c net.Conn, limit time.Duration) (Protocol, net.Conn, error) {
	if limit > 0 {
		if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
			return "", nil, err
		}
	}
	var buf [len(Preface)]byte
	n := 0
	protocol := HTTP2
	for n < len(buf) && protocol == HTTP2 {
		m, err := c.Read(buf[n:])
		n += m
		if string(buf[:n]) != Preface[:n] {
			protocol = HTTP1
			break
		}
		if err != nil && n < len(buf) {
			return "", nil, fmt.Errorf("reading the first bytes (%d arrived): %w", n, err)
		}
	}
	if limit > 0 {
		if err := c.SetReadDeadline(time.Time{}); err != nil {
			return "", nil, err
		}
	}
	return protocol, Replay(c, buf[:n]), nil
}

// Replay is c with head before the bytes that it still has to read. head is
// copied.
func Replay(c net.Conn, head []byte) net.Conn {
	if len(head) == 0 {
		return c
	}
	return &replay{Conn: c, head: append([]byte(nil), head...)}
}

type replay struct {
	net.Conn
	head []byte
}

func (r *replay) Read(p []byte) (int, error) {
	if len(r.head) == 0 {
		return r.Conn.Read(p)
	}
	n := copy(p, r.head)
	if r.head = r.head[n:]; len(r.head) == 0 {
		r.head = nil
	}
	return n, nil
}

// CloseWrite closes the sending direction where the connection can.
func (r *replay) CloseWrite() error { return CloseWrite(r.Conn) }

// NetConn is the connection below, for those who look for a TLS state.
func (r *replay) NetConn() net.Conn { return r.Conn }

// Unread is what has been read of c but not been delivered, and the connection
// below, so that a copy may leave user space. It is for the one who reads c.
func Unread(c net.Conn) ([]byte, net.Conn) {
	var head []byte
	for {
		u, ok := c.(interface{ Unread() ([]byte, net.Conn) })
		if !ok {
			return head, c
		}
		var more []byte
		more, c = u.Unread()
		head = append(head, more...)
	}
}

// Below is the connection that writes to c go to, where c adds nothing to them.
func Below(c net.Conn) net.Conn {
	for {
		b, ok := c.(interface{ Below() net.Conn })
		if !ok {
			return c
		}
		c = b.Below()
	}
}

// Below implements the function of that name for one layer.
func (r *replay) Below() net.Conn { return r.Conn }

// Unread implements the function of that name for one layer.
func (r *replay) Unread() ([]byte, net.Conn) { return r.head, r.Conn }

// CloseWrite ends the sending direction of a connection that can, and closes
// one that cannot. On TLS it sends close_notify and FIN: a peer that takes its
// time, so that close_notify finds no room, is told by FIN at least.
func CloseWrite(c net.Conn) error {
	if t, ok := c.(*tls.Conn); ok {
		return errors.Join(t.CloseWrite(), CloseWrite(t.NetConn()))
	}
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return c.Close()
}

// Reset closes a connection so that its peer sees a failure and not an end: no
// close_notify, and RST in place of FIN.
func Reset(c net.Conn) {
	for below := c; ; {
		switch v := below.(type) {
		case *net.TCPConn:
			_ = v.SetLinger(0) // fails on a connection that is closed, which is as good
			_ = v.Close()
			return
		case interface{ Below() net.Conn }:
			below = v.Below()
		case interface{ NetConn() net.Conn }:
			below = v.NetConn()
		default:
			c.Close()
			return
		}
	}
}
