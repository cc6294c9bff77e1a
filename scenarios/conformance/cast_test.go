package conformance

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// cast is the upstreams that a configuration names. Each run of a file has its
// own, so that what one front did to it is nothing to another.
type cast struct {
	certs *certificates
	mu    sync.Mutex
	who   map[string]*server
}

// server is one upstream. It can be stopped, and started where it was.
type server struct {
	address string
	open    func(*server, net.Listener) (close func())
	mu      sync.Mutex
	close   func()        // nil while it is stopped
	stopped chan struct{} // closed by stop
	heard   chan string   // what some say that they have heard
}

// newServer starts one on an address that is free.
func newServer(open func(*server, net.Listener) (close func())) (*server, error) {
	s := &server{address: "127.0.0.1:0", open: open, heard: make(chan string, 100)}
	return s, s.start()
}

func (s *server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.close != nil {
		return nil
	}
	ln, err := net.Listen("tcp", s.address)
	if err != nil {
		return err
	}
	s.stopped = make(chan struct{})
	s.address, s.close = ln.Addr().String(), s.open(s, ln)
	return nil
}

// at is where it listens, or did.
func (s *server) at() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.address
}

// stop ends the listener and everything on it.
func (s *server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.close != nil {
		close(s.stopped)
		s.close()
	}
	s.close = nil
}

// talker is a server that talks on each connection.
func talker(talk func(*server, net.Conn)) func(*server, net.Listener) func() {
	return func(s *server, ln net.Listener) func() {
		t := &talking{conns: map[net.Conn]bool{}}
		t.work.Go(func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				t.work.Go(func() {
					defer c.Close()
					if t.enter(c) {
						defer t.leave(c)
						talk(s, c)
					}
				})
			}
		})
		return func() {
			ln.Close()
			t.stop()
		}
	}
}

// talking is the connections of a talker.
type talking struct {
	mu    sync.Mutex
	conns map[net.Conn]bool // nil once it has stopped
	work  sync.WaitGroup
}

func (t *talking) enter(c net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conns != nil {
		t.conns[c] = true
	}
	return t.conns != nil
}

func (t *talking) leave(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
}

func (t *talking) stop() {
	t.mu.Lock()
	for c := range t.conns {
		c.Close()
	}
	t.conns = nil
	t.mu.Unlock()
	t.work.Wait()
}

// roles are the kinds of upstreams, by the first word of their names.
func (c *cast) roles() map[string]func(name string) func(*server, net.Conn) {
	each := func(f func(net.Conn, *bufio.Reader)) func(string) func(*server, net.Conn) {
		return func(string) func(*server, net.Conn) {
			return func(_ *server, conn net.Conn) { f(conn, bufio.NewReader(conn)) }
		}
	}
	return map[string]func(string) func(*server, net.Conn){
		"SAYS":    says,
		"HEADED":  each(headed),
		"WAITS":   each(waits),
		"FIRST":   func(string) func(*server, net.Conn) { return first },
		"SINK":    func(string) func(*server, net.Conn) { return sink },
		"GARBAGE": each(garbage),
		"ENDLESS": each(func(c net.Conn, _ *bufio.Reader) { flood(c) }),
		"HALF":    func(string) func(*server, net.Conn) { return half },
		"DEAF":    func(string) func(*server, net.Conn) { return deaf },
		"ORIGIN":  each(origin),
		"NAMED":   named,
		"BROKEN":  each(broken),
		"SECURE":  func(string) func(*server, net.Conn) { return c.secure },
	}
}

// find is an upstream by name, which is started the first time. Names are those
// of roles, or begin with one and an underscore.
func (c *cast) find(name string) (*server, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.who[name]; ok {
		return s, nil
	}
	role, _, _ := strings.Cut(name, "_")
	var s *server
	var err error
	switch f, ok := c.roles()[role]; {
	case ok:
		s, err = newServer(talker(f(name)))
	case role == "DEAD":
		if s, err = newServer(talker(func(*server, net.Conn) {})); err == nil {
			s.stop()
		}
	case role == "GRPC":
		s, err = newServer(serveGRPC)
	case role == "BOTH":
		s, err = newServer(serveBoth)
	default:
		return nil, fmt.Errorf("nobody is called %s", name)
	}
	if err != nil {
		return nil, err
	}
	c.who[name] = s
	return s, nil
}

func (c *cast) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.who {
		s.stop()
	}
}

// noted is how long a test waits for what an upstream has heard.
const noted = 10 * time.Second

var errUnheard = errors.New("the upstream has heard no end")

// note is the next thing that the upstream has heard.
func (s *server) note() (string, error) {
	select {
	case text := <-s.heard:
		return text, nil
	case <-time.After(noted):
		return "", errUnheard
	}
}
