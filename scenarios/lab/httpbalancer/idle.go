package httpbalancer

import (
	"net"
	"time"

	"kasgen/runtime/silence"
)

// talkative is a listener whose connections may not be silent for long.
type talkative struct {
	net.Listener
	limit time.Duration // 0: they may
}

func (t *talkative) Accept() (net.Conn, error) {
	c, err := t.Listener.Accept()
	if err != nil || t.limit == 0 {
		return c, err
	}
	// Closing is all that there is to do: whoever reads or writes is told.
	watched := &watchedConn{Conn: c, watch: silence.New(t.limit, func() { _ = c.Close() })}
	watched.watch.Start()
	return watched, nil
}

// watchedConn is closed after a silence.
type watchedConn struct {
	net.Conn
	watch *silence.Watch
}

func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.watch.Touch()
	}
	return n, err
}

func (c *watchedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if n > 0 {
		c.watch.Touch()
	}
	return n, err
}

func (c *watchedConn) Close() error {
	c.watch.Stop()
	return c.Conn.Close()
}
