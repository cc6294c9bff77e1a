// Package streamtest holds upgraded streams open below whatever a test does. It
// knows neither the front nor what happens to it. Its law: a stream that ends,
// stalls or brings back another byte than was sent is told, with the reason.
package streamtest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// pace is how often a stream sends a line, and patience how long it waits for
// it to come back.
const (
	pace     = 100 * time.Millisecond
	patience = 30 * time.Second
)

// Streams are upgraded ones that carry a line to and fro all the while.
type Streams struct {
	work  sync.WaitGroup
	stop  chan struct{}
	lines atomic.Int64
	why   chan error
}

// Open has n streams go through the front at address, each on a connection of
// its own, to who upgrades a request for path. It returns when all are open.
func Open(t testing.TB, n int, address, path string, client *tls.Config) *Streams {
	t.Helper()
	all := &Streams{stop: make(chan struct{}), why: make(chan error, n)}
	ready := make(chan error, n)
	for range n {
		all.work.Go(func() {
			conn, r, err := upgrade(address, path, client)
			ready <- err
			if err == nil {
				err = all.carry(conn, r)
				conn.Close()
			}
			if err != nil {
				all.why <- err
			}
		})
	}
	var failed error
	for range n {
		if err := <-ready; err != nil {
			failed = err
		}
	}
	if failed != nil {
		close(all.stop)
		all.work.Wait()
		t.Fatal("a stream was not opened: ", failed)
	}
	return all
}

// Lines is how many have come back so far.
func (a *Streams) Lines() int64 { return a.lines.Load() }

// Close ends the streams and says why others had ended before.
func (a *Streams) Close() []error {
	close(a.stop)
	a.work.Wait()
	close(a.why)
	var lost []error
	for err := range a.why {
		lost = append(lost, err)
	}
	return lost
}

func upgrade(address, path string, client *tls.Config) (conn net.Conn, r *bufio.Reader, err error) {
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: client}
	if conn, err = dialer.Dial("tcp", address); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			conn.Close()
		}
	}()
	_ = conn.SetDeadline(time.Now().Add(patience)) // fails on a closed one, as what follows does
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", path, client.ServerName)
	if err != nil {
		return nil, nil, err
	}
	r = bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("the upgrade was answered %s", resp.Status)
	}
	return conn, r, err
}

// carry sends lines until stop.
func (a *Streams) carry(conn net.Conn, r *bufio.Reader) error {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for i := 0; ; i++ {
		line := fmt.Sprintln("line", i)
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err := io.WriteString(conn, line); err != nil {
			return err
		}
		got, err := r.ReadString('\n')
		if err != nil {
			return err
		}
		if got != line {
			return fmt.Errorf("%q came back as %q", line, got)
		}
		a.lines.Add(1)
		select {
		case <-a.stop:
			return nil
		case <-tick.C:
		}
	}
}

// Echo upgrades every request and sends back what comes, until the test ends.
// Its address is returned.
func Echo(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	t.Cleanup(func() { ln.Close(); work.Wait() })
	work.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			work.Go(func() { defer conn.Close(); echo(conn) })
		}
	})
	return ln.Addr().String()
}

func echo(conn net.Conn) {
	r := bufio.NewReader(conn)
	if _, err := http.ReadRequest(r); err != nil {
		return
	}
	if _, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"); err == nil {
		_, _ = io.Copy(conn, r)
	}
}
