// Package cutthrough takes the messages of single gRPC streams off a
// connection below grpc-go. gRPC wakes the receiver of a stream for each frame
// of 16 KiB, on another thread; a stream whose bytes are only passed on is
// cheaper served by the goroutine that reads the connection. The package knows
// HTTP/2's frames and gRPC's messages, and nothing of what messages mean. Its
// law: gRPC sees a connection on which the peer sent less and nothing else is
// different, what is taken is taken in order, no peer sends more than it was
// allowed to, and one stream that nobody reads holds up no other.
package cutthrough

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"

	"google.golang.org/grpc/mem"

	"kasgen/runtime/sniff"
	"kasgen/runtime/socket"
)

// Options are those of the gRPC server above. Its windows must be static.
type Options struct {
	Pool         mem.BufferPool
	StreamWindow uint32 // what a peer may send ahead on a stream, in bytes
	ConnWindow   uint32 // and on the connection
	MaxMessage   int    // the largest message, compressed and not, in bytes

	unzippers sync.Pool
}

// Conn is an HTTP/2 connection for a gRPC server that reads it without a
// buffer of its own.
type Conn struct {
	net.Conn
	options *Options
	walker  walker // of the reading goroutine
	out     writer

	// Of the reading goroutine, too.
	below   net.Conn        // what is read
	raw     syscall.RawConn // of below, if it is TCP
	ready   func(fd uintptr) bool
	buf     *[]byte // lent while it is being worked off
	readErr error

	mu      sync.Mutex
	streams []*Stream // followed ones that neither side has ended, as opened: by rising number
}

// New takes c, of which not even the preface has been read.
func New(c net.Conn, o *Options) *Conn {
	head, below := sniff.Unread(c)
	conn := &Conn{Conn: c, options: o, below: below}
	conn.walker.init(conn, head)
	if tcp, ok := below.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			conn.raw, conn.ready = raw, conn.read
		}
	}
	return conn
}

// NetConn is what c was made of, for those who look for a TLS state.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Read reads what is gRPC's.
func (c *Conn) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if c.walker.walk(); c.walker.deliverable() {
			n := c.walker.deliver(p)
			c.release()
			return n, nil
		}
		c.release()
		if err := c.fill(); err != nil {
			c.fail(err)
			return 0, err
		}
	}
	return 0, nil
}

// readSize is how much is read at once from a socket, in bytes.
const readSize = 64 << 10

// recordSize is how much is read at once from what lies on a socket: TLS gives
// no more.
const recordSize = 16 << 10

// fill reads more. Nothing is held while there is nothing to read, except in
// the middle of a frame, of which the rest is about to come.
func (c *Conn) fill() error {
	if c.raw != nil {
		c.readErr = nil
		if err := c.raw.Read(c.ready); err != nil {
			return err
		}
		return c.readErr
	}
	p := c.walker.in[c.walker.got:]
	if c.walker.inFrame() {
		c.buf = c.options.Pool.Get(recordSize)
		p = *c.buf
	}
	n, err := c.below.Read(p)
	c.walker.data = p[:n]
	if n > 0 {
		return nil // what was read comes before the error, which comes again
	}
	return err
}

// read reads a socket without waiting; it reports false if there is nothing.
func (c *Conn) read(fd uintptr) bool {
	buf := c.options.Pool.Get(readSize)
	n, err := socket.Read(fd, *buf)
	switch {
	case n > 0:
		c.buf, c.walker.data = buf, (*buf)[:n]
		return true
	case errors.Is(err, syscall.EAGAIN):
		c.options.Pool.Put(buf)
		return false // wait without it
	case err != nil:
		c.readErr = &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
	default:
		c.readErr = io.EOF
	}
	c.options.Pool.Put(buf)
	return true
}

// release gives the buffer back once it has been worked off.
func (c *Conn) release() {
	if c.buf != nil && len(c.walker.data) == 0 {
		c.options.Pool.Put(c.buf)
		c.buf, c.walker.data = nil, nil
	}
}

var errConnEnded = errors.New("the connection ended")

// fail ends every followed stream.
func (c *Conn) fail(err error) {
	if errors.Is(err, io.EOF) {
		err = errConnEnded
	}
	c.mu.Lock()
	streams := c.streams
	c.streams = nil
	c.mu.Unlock()
	for _, s := range streams {
		s.finish(err)
	}
}

// Follow begins to follow the stream that gRPC is opening with ctx, if there is
// something to follow. It is called in the reading goroutine, which is where
// gRPC calls a tap handle; FromContext finds the stream.
func (c *Conn) Follow(ctx context.Context) context.Context {
	if c.walker.openingEnds || c.walker.opening == 0 {
		return ctx
	}
	f := &followed{Context: ctx, stream: Stream{conn: c, id: c.walker.opening}}
	f.stream.window.Store(int64(c.options.StreamWindow))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams = append(c.streams, &f.stream)
	return f
}

// find is where a stream is; c.mu is held.
func (c *Conn) find(id uint32) (int, bool) {
	return slices.BinarySearchFunc(c.streams, id, func(s *Stream, id uint32) int { return cmp.Compare(s.id, id) })
}

func (c *Conn) stream(id uint32) *Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i, ok := c.find(id); ok {
		return c.streams[i]
	}
	return nil
}

// forget stops following a stream.
func (c *Conn) forget(id uint32) *Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := c.find(id)
	if !ok {
		return nil
	}
	s := c.streams[i]
	c.streams = slices.Delete(c.streams, i, i+1)
	return s
}
