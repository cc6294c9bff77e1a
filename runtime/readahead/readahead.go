// Package readahead reads TCP connections in large pieces and holds no buffer
// while there is nothing to read. gRPC and TLS ask for a few bytes at a time;
// a buffered reader below them would answer with few system calls, but keep
// its buffer for as long as the connection is open, and most connections of a
// kas are idle. The package knows nothing of what the bytes are. Its law: a
// connection that waits owns no memory here.
package readahead

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"kasgen/runtime/socket"
)

// size is how much is read at once, in bytes.
const size = 64 << 10

// Pool lends buffers to connections. The zero value is ready.
type Pool struct{ buffers, writings sync.Pool }

// Conn is a TCP connection that reads ahead. Like any net.Conn it has one
// reader at a time.
type Conn struct {
	*net.TCPConn
	raw  syscall.RawConn
	pool *Pool
	buf  *[]byte // lent while data is not empty
	data []byte

	ready func(fd uintptr) bool // read, bound once
	n     int                   // what read came to
	err   error
}

// New wraps c if it is a TCP connection, and returns any other as it is.
func New(c net.Conn, pool *Pool) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c
	}
	r := &Conn{TCPConn: tcp, raw: raw, pool: pool}
	r.ready = r.read
	return r
}

// Read reads from what has been read ahead, or waits for more.
func (c *Conn) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		if len(p) >= size/2 {
			return c.TCPConn.Read(p)
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.data)
	if c.data = c.data[n:]; len(c.data) == 0 {
		c.release()
	}
	return n, nil
}

// fill waits until there is something to read and reads it.
func (c *Conn) fill() error {
	c.n, c.err = 0, nil
	err := c.raw.Read(c.ready)
	switch {
	case err != nil:
	case c.err != nil:
		err = &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: c.err}
	case c.n == 0:
		err = io.EOF
	}
	if err != nil {
		c.release()
		return err
	}
	c.data = (*c.buf)[:c.n]
	return nil
}

// read reads without waiting; it reports false if there is nothing.
func (c *Conn) read(fd uintptr) bool {
	buf := c.pool.Get(size)
	c.n, c.err = socket.Read(fd, *buf)
	if errors.Is(c.err, syscall.EAGAIN) {
		c.pool.Put(buf)
		return false // wait without it
	}
	c.buf = buf
	return true
}

func (c *Conn) release() {
	if c.buf != nil {
		c.pool.Put(c.buf)
		c.buf, c.data = nil, nil
	}
}

// WriteTo writes to w what comes until the end, and waits without a buffer.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	var written int64
	for {
		if len(c.data) == 0 {
			if err := c.fill(); errors.Is(err, io.EOF) {
				return written, nil
			} else if err != nil {
				return written, err
			}
		}
		n, err := w.Write(c.data)
		written += int64(n)
		c.release()
		if err != nil {
			return written, err
		}
	}
}

// Unread is what has been read ahead, and the connection below, which the
// caller reads from now on.
func (c *Conn) Unread() ([]byte, net.Conn) {
	head := append([]byte(nil), c.data...)
	c.release()
	return head, c.TCPConn
}

// Below is the connection that writes go to.
func (c *Conn) Below() net.Conn { return c.TCPConn }
