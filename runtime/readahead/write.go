package readahead

import (
	"errors"
	"net"
	"syscall"

	"kasgen/runtime/socket"
)

// piece is how much is written at once, in bytes: the scheduler is not told.
const piece = 64 << 10

// Write writes all of p. It tells the scheduler nothing unless it has to wait,
// see package socket.
func (c *Conn) Write(p []byte) (int, error) {
	w, ok := c.pool.writings.Get().(*writing)
	if !ok {
		w = new(writing)
		w.ready = w.write
	}
	w.left = p
	err := c.raw.Write(w.ready)
	n := len(p) - len(w.left)
	if err == nil && w.err != nil {
		err = &net.OpError{Op: "write", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: w.err}
	}
	w.left, w.err = nil, nil
	c.pool.writings.Put(w)
	return n, err
}

// writing is one Write. It is not part of Conn, because any number may write at
// a time.
type writing struct {
	left  []byte
	err   error
	ready func(fd uintptr) bool // write, bound once
}

// write writes without waiting; it reports false if there is no room.
func (w *writing) write(fd uintptr) bool {
	for len(w.left) > 0 {
		n, err := socket.Write(fd, w.left[:min(len(w.left), piece)])
		w.left = w.left[n:]
		if errors.Is(err, syscall.EAGAIN) {
			return false
		}
		if err != nil {
			w.err = err
			return true
		}
	}
	return true
}
