package balancer

import (
	"errors"
	"fmt"
	"io"
	"net"
)

// peek holds the first bytes of a client while its route is looked for, in a
// buffer that goes back before the stream runs.
type peek struct {
	server *Server
	size   int
	buffer *[]byte
	bytes  []byte
}

func (s *Server) newPeek(size int) *peek {
	return &peek{server: s, size: size}
}

// grow takes a buffer, which clients that are routed at once never need.
func (p *peek) grow() {
	if p.buffer != nil {
		return
	}
	// A PROXY header must fit, too.
	need := p.size + maxProxyV2
	if b, ok := p.server.peeks.Get().(*[]byte); ok && len(*b) >= need {
		p.buffer = b
	} else {
		b := make([]byte, need)
		p.buffer = &b
	}
	p.bytes = (*p.buffer)[:0]
}

func (p *peek) free() {
	if p.buffer != nil {
		p.server.peeks.Put(p.buffer)
		p.buffer, p.bytes = nil, nil
	}
}

func (p *peek) full() bool { return len(p.bytes) >= p.size }

// more reads once.
func (p *peek) more(r io.Reader) error {
	p.grow()
	have := len(p.bytes)
	n, err := r.Read(p.bytes[have:min(cap(p.bytes), max(p.size, have+1))])
	p.bytes = p.bytes[:have+n]
	if n > 0 {
		return nil // an error comes again with the next read
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// proxyHeader reads the header and keeps what came behind it.
func (p *peek) proxyHeader(r io.Reader) (proxyHeader, error) {
	p.grow()
	for {
		header, n, err := parseProxy(p.bytes)
		if err == nil {
			rest := copy(p.bytes, p.bytes[n:])
			p.bytes = p.bytes[:rest]
			return header, nil
		}
		if !errors.Is(err, errProxyMore) {
			return proxyHeader{}, err
		}
		have := len(p.bytes)
		n, readErr := r.Read(p.bytes[have:min(cap(p.bytes), have+maxProxyV2)])
		p.bytes = p.bytes[:have+n]
		if n == 0 && readErr != nil {
			return proxyHeader{}, fmt.Errorf("%w: %w", err, readErr)
		}
	}
}

// replay is c with the bytes that were already read before it, which are
// taken out of p.
func (p *peek) replay(c net.Conn) net.Conn {
	if len(p.bytes) == 0 {
		return c
	}
	r := &replayConn{Conn: c, first: append([]byte(nil), p.bytes...)}
	p.bytes = p.bytes[:0]
	return r
}

type replayConn struct {
	net.Conn
	first []byte
}

func (r *replayConn) Read(b []byte) (int, error) {
	if len(r.first) > 0 {
		n := copy(b, r.first)
		r.first = r.first[n:]
		if len(r.first) == 0 {
			r.first = nil
		}
		return n, nil
	}
	return r.Conn.Read(b)
}
