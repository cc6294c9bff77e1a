package haproxy

import (
	"net"
	"sync"
)

func slots(n int) chan struct{} {
	if n == 0 {
		return nil
	}
	return make(chan struct{}, n)
}

// limited accepts no more connections at a time than there are slots in each
// of limits, of which some may be nil; further clients wait unaccepted.
func limited(ln net.Listener, limits ...chan struct{}) net.Listener {
	for _, l := range limits {
		if l != nil {
			ln = &limitedListener{Listener: ln, slots: l, done: make(chan struct{})}
		}
	}
	return ln
}

type limitedListener struct {
	net.Listener
	slots chan struct{}
	once  sync.Once
	done  chan struct{}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitedConn{Conn: c, slots: l.slots}, nil
}

func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// limitedConn gives its slot back.
type limitedConn struct {
	net.Conn
	slots chan struct{}
	once  sync.Once
}

func (c *limitedConn) Close() error {
	defer c.once.Do(func() { <-c.slots })
	return c.Conn.Close()
}

func (c *limitedConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return c.Close()
}

// NetConn and Below are the connection itself; Unread lets a copy go past it.
func (c *limitedConn) NetConn() net.Conn          { return c.Conn }
func (c *limitedConn) Below() net.Conn            { return c.Conn }
func (c *limitedConn) Unread() ([]byte, net.Conn) { return nil, c.Conn }
