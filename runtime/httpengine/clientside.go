package httpengine

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"kasgen/runtime/silence"
	"kasgen/runtime/sniff"
)

// clientSide is the client's end of one exchange: its body is read and the
// answer written within limits, on one goroutine each.
type clientSide struct {
	w     http.ResponseWriter
	r     *http.Request
	rc    *http.ResponseController
	late  *silence.Watch // of a body that does not come
	stuck *silence.Watch // of an answer that is not taken
}

func newClientSide(w http.ResponseWriter, r *http.Request, limits ClientLimits) *clientSide {
	c := &clientSide{w: w, r: r, rc: http.NewResponseController(w)}
	// Deadlines are set only once they have passed: on HTTP/2 they end a stream
	// even where nobody waits, and each costs a message to net/http's loop.
	c.late = silence.New(limits.Body, func() { _ = c.rc.SetReadDeadline(time.Unix(1, 0)) })
	c.stuck = silence.New(limits.Send, func() { _ = c.rc.SetWriteDeadline(time.Unix(1, 0)) })
	if r.ProtoMajor == 1 {
		_ = c.rc.EnableFullDuplex() // who has no such thing is duplex as it is
	}
	return c
}

// write passes a piece of the answer on, at once if flush is set.
func (c *clientSide) write(p []byte, flush bool) error {
	c.stuck.Start()
	defer c.stuck.Pause()
	_, err := c.w.Write(p)
	if err == nil && flush {
		err = c.rc.Flush()
	}
	return err
}

// head passes the head on by itself.
func (c *clientSide) head(status int, flush bool) error {
	c.stuck.Start()
	defer c.stuck.Pause()
	c.w.WriteHeader(status)
	if !flush {
		return nil
	}
	return c.rc.Flush()
}

// release ends the limits. What net/http writes after the handler has none.
func (c *clientSide) release() {
	c.late.Stop()
	c.stuck.Stop()
}

// set gives the answer a header. What is absent stays absent: net/http would
// guess a type, and count a body that is empty.
func (c *clientSide) set(h http.Header) {
	to := c.w.Header()
	for k, v := range h {
		to[k] = v
	}
	for _, k := range []string{"Content-Type", "Content-Length"} {
		if _, ok := to[k]; !ok {
			to[k] = nil
		}
	}
}

// trailer gives the answer what follows its body.
func (c *clientSide) trailer(h http.Header) {
	for k, v := range h {
		c.w.Header()[http.TrailerPrefix+k] = v
	}
}

// cut ends the client's stream so that it cannot look complete. What came until
// then is passed on first.
func (c *clientSide) cut() {
	if c.r.ProtoAtLeast(1, 1) && c.r.ProtoMajor == 1 {
		c.stuck.Start()
		_ = c.rc.Flush() // whether the client takes it changes nothing
		c.stuck.Pause()
	}
	_ = c.rc.SetReadDeadline(time.Unix(1, 0)) // net/http waits for the body otherwise
	if c.r.ProtoMajor == 1 && c.r.ProtoMinor == 0 {
		// Its end would be that of the answer.
		if conn, _, err := c.rc.Hijack(); err == nil {
			sniff.Reset(unguarded(conn))
		}
	}
	panic(http.ErrAbortHandler)
}

// unguarded is a hijacked connection without what watched over its requests.
func unguarded(c net.Conn) net.Conn {
	if g, ok := c.(interface{ Hijacked() net.Conn }); ok {
		return g.Hijacked()
	}
	return c
}

// body is a request's body as it is sent on. It remembers how the client
// failed, and can be given up while somebody reads it.
type body struct {
	side   *clientSide
	from   io.Reader
	before func()      // called before each read
	after  func(n int) // and after it, with what came
	ended  func()      // called once at the end
	mu     sync.Mutex
	busy   bool
	begun  bool // somebody has read
	closed bool
	idle   *sync.Cond
	err    error
}

func newBody(side *clientSide, from io.Reader) *body {
	b := &body{side: side, from: from, before: func() {}, after: func(int) {}, ended: func() {}}
	b.idle = sync.NewCond(&b.mu)
	return b
}

var errGivenUp = errors.New("the rest of the body is not wanted")

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	if b.err != nil || b.closed {
		err := b.err
		b.mu.Unlock()
		if err == nil {
			err = errGivenUp
		}
		return 0, err
	}
	b.busy, b.begun = true, true
	b.mu.Unlock()
	b.before()
	b.side.late.Start()
	n, err := b.from.Read(p)
	b.side.late.Pause()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// Close sets a deadline, too.
		if err = errGivenUp; b.side.late.Expired() {
			err = errLate
		}
	}
	b.mu.Lock()
	b.busy = false
	b.err = err
	b.idle.Broadcast()
	b.mu.Unlock()
	b.after(n)
	if err == io.EOF {
		b.ended()
	}
	return n, err
}

// Close gives up what has not been read, and wakes who reads it.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.busy {
		_ = b.side.rc.SetReadDeadline(time.Unix(1, 0))
	}
	return nil
}

// again takes a Close back, if nothing has been read.
func (b *body) again() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.begun {
		return false
	}
	b.closed = false
	return true
}

// fault is how the client failed, nil if it did not.
func (b *body) fault() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil || errors.Is(b.err, io.EOF) || errors.Is(b.err, errGivenUp) {
		return nil
	}
	return b.err
}

// fail says that the client's body is faulty for another reason than a read's.
func (b *body) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.err = err
	}
}

// settle gives the body up and waits until nobody reads it, so that the
// handler may return.
func (b *body) settle() {
	_ = b.Close() // does not fail
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.busy {
		b.idle.Wait()
	}
}

// lingerLimit is how long a client may still send what nobody wants: a
// connection that is closed with bytes unread is reset, and the answer lost
// with it. It is net/http's own.
const lingerLimit = 500 * time.Millisecond
