package cluster

import (
	"io"
	"net"
	"sync"
	"time"
)

// lingerLimit is how long a closed connection still delivers what was written.
const lingerLimit = 30 * time.Second

// lingering is a listener whose connections, once closed, deliver what has been
// written to them. Kubernetes' code closes a stream's connection when its
// command has ended; kubectl pings every five seconds, and a ping to a closed
// socket is answered with a reset that throws away what a slow reader has not
// had yet. On a real network that is a known way to lose the end of a kubectl
// cp. Here it would say nothing about the way that is being tried.
type lingering struct {
	net.Listener
	mu     sync.Mutex
	closed bool
	conns  map[*lingerConn]struct{}
	work   sync.WaitGroup
}

func newLingering(ln net.Listener) *lingering {
	return &lingering{Listener: ln, conns: map[*lingerConn]struct{}{}}
}

func (l *lingering) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c, nil
	}
	return &lingerConn{TCPConn: tcp, owner: l}, nil
}

// end closes what still lingers, and waits.
func (l *lingering) end() {
	l.mu.Lock()
	l.closed = true
	for c := range l.conns {
		_ = c.TCPConn.Close() // nobody is left to deliver to
	}
	l.mu.Unlock()
	l.work.Wait()
}

// keep notes a connection that lingers; it reports false when it is too late.
func (l *lingering) keep(c *lingerConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.conns[c] = struct{}{}
	l.work.Add(1)
	return true
}

func (l *lingering) drop(c *lingerConn) {
	l.mu.Lock()
	delete(l.conns, c)
	l.mu.Unlock()
	l.work.Done()
}

type lingerConn struct {
	*net.TCPConn
	owner *lingering
	once  sync.Once
	err   error
}

// Close ends the sending direction at once and the connection when the other
// side has ended its own, or after lingerLimit.
func (c *lingerConn) Close() error {
	c.once.Do(func() {
		// Reads that wait elsewhere have to end, as with any closed connection.
		now := c.SetReadDeadline(time.Unix(1, 0))
		if now != nil || c.CloseWrite() != nil || !c.owner.keep(c) {
			c.err = c.TCPConn.Close()
			return
		}
		go func() {
			defer c.owner.drop(c)
			if c.SetReadDeadline(time.Now().Add(lingerLimit)) == nil {
				_, _ = io.Copy(io.Discard, c.TCPConn) // ends with the peer, or by the deadline
			}
			_ = c.TCPConn.Close()
		}()
	})
	return c.err
}
