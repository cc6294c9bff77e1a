package cluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
)

// longestHead bounds the head of an answer to an upgrade in bytes.
const longestHead = 64 << 10

// upgradable is the ResponseWriter of one request. It reports the head of the
// answer, also where a handler takes the connection and writes the head
// itself; and it ends the request when the client of an upgraded connection
// is gone, which net/http does only for requests that are not upgraded.
type upgradable struct {
	http.ResponseWriter
	ctx    context.Context
	cancel context.CancelFunc
	open   *atomic.Int64 // upgraded connections
	once   sync.Once
	head   func(status int, h http.Header)
	conn   *upgradedConn
	// switched says that the handler lets net/http write the head of the 101.
	switched bool
}

// newUpgradable returns the writer and the request to go on with. The handler
// must be followed by end.
func newUpgradable(w http.ResponseWriter, r *http.Request, open *atomic.Int64, head func(int, http.Header)) (*upgradable, *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	u := &upgradable{ResponseWriter: w, ctx: ctx, cancel: cancel, open: open, head: head}
	return u, r.WithContext(ctx)
}

// end is called when the handler has returned.
func (u *upgradable) end() {
	u.answered(http.StatusOK, u.Header())
	if u.conn != nil {
		_ = u.conn.Close()
	}
	u.cancel()
}

func (u *upgradable) answered(status int, h http.Header) {
	u.once.Do(func() { u.head(status, h) })
}

// Unwrap lets http.ResponseController reach what this writer does not have.
func (u *upgradable) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func (u *upgradable) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		u.answered(status, u.Header())
	}
	u.switched = status == http.StatusSwitchingProtocols
	u.ResponseWriter.WriteHeader(status)
}

func (u *upgradable) Write(b []byte) (int, error) {
	if u.conn == nil {
		u.answered(http.StatusOK, u.Header())
	}
	return u.ResponseWriter.Write(b)
}

// Hijack hands over the connection. Bytes that the client has sent already
// are given back by the connection's own Read: of the libraries that take
// connections here some read from the buffer, and some forget it.
func (u *upgradable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early, _ := buffered.Reader.Peek(buffered.Reader.Buffered())
	u.open.Add(1)
	c := &upgradedConn{Conn: conn, early: bytes.Clone(early), gone: u.cancel}
	if !u.switched {
		c.head = u.answered
	}
	c.closed = func() {
		u.cancel()
		u.open.Add(-1)
	}
	// A handler that waits for something else than this connection must still
	// let go of it when the request ends.
	context.AfterFunc(u.ctx, func() { _ = c.Close() })
	u.conn = c
	return c, bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c)), nil
}

// upgradedConn is a client's connection in the hands of a handler.
type upgradedConn struct {
	net.Conn
	early  []byte // read by one goroutine at a time, as the rest is
	gone   func()
	closed func()
	once   sync.Once

	mu      sync.Mutex
	head    func(int, http.Header) // nil once the head is known
	written []byte
}

func (c *upgradedConn) Read(b []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(b, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	n, err := c.Conn.Read(b)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.gone()
	}
	return n, err
}

func (c *upgradedConn) Write(b []byte) (int, error) {
	c.readHead(b)
	return c.Conn.Write(b)
}

// Close may be called by everybody who holds the connection; only the first
// closes it. (spdystream waits a second for somebody to take the error of a
// second one.)
func (c *upgradedConn) Close() (err error) {
	c.once.Do(func() {
		err = c.Conn.Close()
		c.closed()
	})
	return err
}

// readHead reports the head of the answer when it is complete.
func (c *upgradedConn) readHead(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.head == nil {
		return
	}
	c.written = append(c.written, b...)
	if !bytes.Contains(c.written, []byte("\r\n\r\n")) && len(c.written) < longestHead {
		return
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(c.written)), nil)
	if err == nil {
		_ = resp.Body.Close()
		c.head(resp.StatusCode, resp.Header)
	}
	c.head, c.written = nil, nil
}
