// Package accept takes connections as far as the point where it is known what
// they speak: PROXY header, TLS handshake, first bytes. It knows nothing of
// requests. Its law: a client is held no longer than the limits say, one
// client's silence or garbage is felt by nobody else, and a connection is
// either handed on or closed.
package accept

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/pires/go-proxyproto"

	"kasgen/runtime/inflight"
	"kasgen/runtime/readahead"
	"kasgen/runtime/sniff"
)

// Options say how connections begin.
type Options struct {
	Log       *slog.Logger
	Proxy     byte          // the PROXY protocol's version that a connection must begin with; 0: none, AnyProxy: any
	TLS       *tls.Config   // nil: cleartext
	Handshake time.Duration // for PROXY header and TLS together
	Sniff     time.Duration // for the first bytes
	// Silent is called, if not nil, with a connection whose first bytes did not
	// come in time, before it is closed.
	Silent func(net.Conn)
	// Cleartext is called, if not nil, with a connection that began with
	// something else than TLS where TLS is spoken, before it is closed; began is
	// its beginning.
	Cleartext func(c net.Conn, began [5]byte)
}

// AnyProxy, as Options.Proxy, takes a PROXY header of either version.
const AnyProxy = 0xff

// Listener accepts, classifies and hands on.
type Listener struct {
	Options
	ln     net.Listener
	handle func(sniff.Protocol, net.Conn)
	ahead  readahead.Pool

	mu      sync.Mutex
	pending map[net.Conn]struct{}
	closed  bool
	work    sync.WaitGroup

	serving inflight.Group // the loop that accepts, and connections until handle returns
}

// New takes connections from ln once Serve runs. handle gets each connection
// on a goroutine of its own and owns it.
func New(ln net.Listener, o Options, handle func(sniff.Protocol, net.Conn)) *Listener {
	return &Listener{Options: o, ln: ln, handle: handle, pending: map[net.Conn]struct{}{}}
}

// Serve accepts until Close.
func (l *Listener) Serve() error {
	defer l.serving.Enter()()
	for wait := time.Duration(0); ; {
		c, err := l.ln.Accept()
		if err == nil {
			wait = 0
			l.begin(c)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		// Out of descriptors, say. Others will close theirs.
		wait = min(max(2*wait, 5*time.Millisecond), time.Second)
		l.Log.Warn("accepting a connection", "listener", l.ln.Addr().String(), "error", err)
		time.Sleep(wait)
	}
}

// Close stops accepting, ends connections that are not handed on yet and waits
// for those that are being handed on.
func (l *Listener) Close() error {
	err := l.ln.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil // it has retired
	}
	l.mu.Lock()
	l.closed = true
	for c := range l.pending {
		c.Close()
	}
	l.mu.Unlock()
	l.work.Wait()
	return err
}

// Retire stops accepting and returns at once. Connections that are not handed
// on yet go on.
func (l *Listener) Retire() error { return l.ln.Close() }

// Settle waits after Retire until handle has returned for every connection that
// was accepted, or until ctx is done, and then returns its error.
func (l *Listener) Settle(ctx context.Context) error { return l.serving.Wait(ctx) }

func (l *Listener) begin(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		c.Close()
		return
	}
	l.pending[c] = struct{}{}
	l.work.Add(1)
	leave := l.serving.Enter()
	go func() {
		defer leave()
		protocol, conn, err := l.classify(c)
		l.mu.Lock()
		delete(l.pending, c)
		l.mu.Unlock()
		l.work.Done()
		if err != nil {
			l.refuse(c, err)
			return
		}
		l.handle(protocol, conn)
	}()
}

// refuse closes a connection that did not get as far as a request. A client
// that just left, as health checks do, is no news.
func (l *Listener) refuse(c net.Conn, err error) {
	level := slog.LevelInfo
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) {
		level = slog.LevelDebug
	}
	l.Log.Log(context.Background(), level, "a connection ended before its first request", "client", c.RemoteAddr().String(), "error", err)
	c.Close()
}

func (l *Listener) classify(raw net.Conn) (sniff.Protocol, net.Conn, error) {
	if l.Handshake > 0 && (l.Proxy != 0 || l.TLS != nil) {
		if err := raw.SetDeadline(time.Now().Add(l.Handshake)); err != nil {
			return "", nil, err
		}
	}
	conn := readahead.New(raw, &l.ahead)
	if l.Proxy != 0 {
		var err error
		if conn, err = l.proxyHeader(conn); err != nil {
			return "", nil, err
		}
	}
	if l.TLS != nil {
		t := tls.Server(conn, l.TLS)
		if err := t.Handshake(); err != nil {
			var clear tls.RecordHeaderError
			if errors.As(err, &clear) && clear.Conn != nil && l.Cleartext != nil {
				l.Cleartext(clear.Conn, clear.RecordHeader)
			}
			return "", nil, fmt.Errorf("TLS handshake: %w", err)
		}
		conn = t
	}
	if err := raw.SetDeadline(time.Time{}); err != nil {
		return "", nil, err
	}
	protocol, c, err := sniff.Detect(conn, l.Sniff)
	if l.Silent != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		l.Silent(conn)
	}
	return protocol, c, err
}

// proxyHeader reads the PROXY header that has to be there.
func (l *Listener) proxyHeader(c net.Conn) (net.Conn, error) {
	// Large enough for a version 1 line (107 bytes) and any version 2 header
	// without long TLVs; longer ones are read through.
	r := bufio.NewReaderSize(c, 256)
	if length, unknown := unspecified(r); unknown && (l.Proxy == AnyProxy || l.Proxy == 2) {
		if _, err := r.Discard(length); err != nil {
			return nil, fmt.Errorf("reading the PROXY header: %w", err)
		}
		rest, err := r.Peek(r.Buffered())
		if err != nil {
			return nil, err
		}
		return sniff.Replay(c, rest), nil
	}
	header, err := proxyproto.Read(r)
	if err != nil {
		return nil, fmt.Errorf("reading the PROXY header: %w", err)
	}
	if l.Proxy != AnyProxy && header.Version != l.Proxy {
		return nil, fmt.Errorf("the PROXY header is of version %d, not %d", header.Version, l.Proxy)
	}
	rest, err := r.Peek(r.Buffered())
	if err != nil {
		return nil, err
	}
	conn := sniff.Replay(c, rest)
	if header.Command.IsLocal() || header.SourceAddr == nil || header.DestinationAddr == nil {
		return conn, nil // the balancer's own health check, or a client without an address
	}
	return &proxied{Conn: conn, remote: header.SourceAddr, local: header.DestinationAddr}, nil
}

// Where what is in a PROXY header of version 2.
const (
	proxyCommandAt = 12 // version 2 and command PROXY are 0x21
	proxyFamilyAt  = 13
	proxyLengthAt  = 14
	proxyHeadSize  = 16
)

// unspecified tells whether a PROXY header of version 2 is of a client without
// an address, family UNSPEC, and how long it is: the protocol has a receiver
// take it, and the library refuses it.
func unspecified(r *bufio.Reader) (length int, ok bool) {
	// By its first byte, or this would wait for more than a shorter header has.
	if b, err := r.Peek(1); err != nil || b[0] != '\r' {
		return 0, false
	}
	b, err := r.Peek(proxyHeadSize)
	if err != nil || string(b[:proxyCommandAt]) != "\r\n\r\n\x00\r\nQUIT\n" || b[proxyCommandAt] != 0x21 || b[proxyFamilyAt]>>4 != 0 {
		return 0, false
	}
	return proxyHeadSize + int(binary.BigEndian.Uint16(b[proxyLengthAt:])), true
}

// Proxied is the two ends of the client's connection by the PROXY header that
// a connection began with, if it did and the header named them.
func Proxied(c net.Conn) (source, destination net.Addr, ok bool) {
	for {
		if p, ok := c.(*proxied); ok {
			return p.remote, p.local, true
		}
		below, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil, nil, false
		}
		c = below.NetConn()
	}
}

// proxied has the addresses that the balancer saw.
type proxied struct {
	net.Conn
	remote, local net.Addr
}

func (p *proxied) RemoteAddr() net.Addr { return p.remote }
func (p *proxied) LocalAddr() net.Addr  { return p.local }
func (p *proxied) CloseWrite() error    { return sniff.CloseWrite(p.Conn) }
func (p *proxied) NetConn() net.Conn    { return p.Conn }
func (p *proxied) Below() net.Conn      { return p.Conn }

// Unread lets a copy leave user space; the addresses are of no use to it.
func (p *proxied) Unread() ([]byte, net.Conn) { return nil, p.Conn }
