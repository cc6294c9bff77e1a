package runtime

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kasgen/runtime/certs"
	"kasgen/runtime/certs/pebble"
	"kasgen/runtime/host"
)

// street is a rendered bundle that obtains its certificates from a test CA, and
// any number of processes that run it behind a balancer which takes turns. kas
// is replaced by who upgrades every request and sends back what comes.
type street struct {
	t     *testing.T
	ca    *pebble.Server
	dir   string // of the bundle
	state string
	tls   *turns
	web   *turns
	echo  string
	runs  []*Running
}

func newStreet(t *testing.T, golden string) *street {
	t.Helper()
	s := &street{t: t, dir: unpacked(t, "../generator/testdata/render/"+golden), state: t.TempDir(), tls: newTurns(t), web: newTurns(t), echo: echoes(t)}
	var err error
	s.ca, err = pebble.Start(t.Context(), pebble.Options{TLSPort: s.tls.port(), HTTPPort: s.web.port(), Validity: 90 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.ca.Close(); err != nil {
			t.Error(err)
		}
	})
	s.edit()
	return s
}

// edit has the bundle ask this street's CA; everything else stays as rendered.
func (s *street) edit() {
	s.t.Helper()
	path := filepath.Join(s.dir, certsFile)
	text, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	caFile := filepath.Join(s.t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.ca.Listener().Raw}), 0o600); err != nil {
		s.t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "  directory: ") {
			lines[i] = "  directory: " + s.ca.Directory() + "\n  caFile: " + caFile
		}
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// run starts one more process of the bundle, with ports of its own and the
// state that all share.
func (s *street) run() *Running {
	s.t.Helper()
	b, err := Read(s.dir, All, "")
	if err != nil {
		s.t.Fatal(err)
	}
	b.kas = nil
	var m host.Moves
	h := host.Machine(slog.New(slog.NewTextHandler(s.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	ca := s.ca.Address()
	m.Name(ca, ca)
	for _, address := range []string{"127.0.0.1:8150", "127.0.0.1:8154"} {
		m.Name(address, s.echo)
	}
	h.Path = func(path string) string { return b.Redirect(path, s.state) }
	h.ReadFile = func(path string) ([]byte, error) { return os.ReadFile(h.Path(path)) }
	h.Lstat = func(path string) (os.FileInfo, error) { return os.Lstat(h.Path(path)) }
	h.Listen, h.Dial = m.Listen(h.Listen), m.Dial(h.Dial)
	ctx, cancel := context.WithCancel(s.t.Context())
	r, err := b.Start(ctx, h, h, "test")
	if err != nil {
		cancel()
		s.t.Fatal(err)
	}
	for _, to := range []struct {
		turns *turns
		at    string
	}{{s.tls, b.Lock.Names.KAS.Listeners[0]}, {s.web, "0.0.0.0:80"}} {
		if real, ok := m.Address(to.at); ok {
			to.turns.add(real)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Serve(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	})
	s.runs = append(s.runs, r)
	return r
}

// serial waits until a client gets a certificate of the CA that is not one of
// old.
func (s *street) serial(name string, old ...string) string {
	s.t.Helper()
	end := time.Now().Add(time.Minute)
	for {
		conn, err := tls.Dial("tcp", s.tls.addr(), s.client(name))
		if err == nil {
			leaf := conn.ConnectionState().PeerCertificates[0]
			conn.Close()
			if got := leaf.SerialNumber.String(); !strings.Contains(strings.Join(old, " "), got) {
				return got
			}
		}
		if time.Now().After(end) {
			s.t.Fatalf("no new certificate for %s: %v, %+v", name, err, s.status())
		}
		time.Sleep(20 * time.Millisecond) // between attempts, of which each may be the last
	}
}

func (s *street) status() []certs.Status {
	var all []certs.Status
	for _, r := range s.runs {
		all = append(all, r.Certificates()...)
	}
	return all
}

func (s *street) client(name string) *tls.Config {
	return &tls.Config{ServerName: name, RootCAs: s.ca.Roots(), NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
}

// streams are upgraded ones that carry a line to and fro all the while.
type streams struct {
	work  sync.WaitGroup
	stop  chan struct{}
	ended atomic.Int32
	lines atomic.Int64
	why   chan error
}

func (s *street) open(n int) *streams {
	s.t.Helper()
	all := &streams{stop: make(chan struct{}), why: make(chan error, n)}
	ready := make(chan error, n)
	for range n {
		all.work.Go(func() {
			err := s.stream(all, ready)
			if err != nil {
				all.ended.Add(1)
				all.why <- err
			}
		})
	}
	for range n {
		if err := <-ready; err != nil {
			close(all.stop)
			all.work.Wait()
			s.t.Fatal(err)
		}
	}
	return all
}

func (s *street) stream(all *streams, ready chan<- error) error {
	conn, err := tls.Dial("tcp", s.tls.addr(), s.client("kas.example.com"))
	if err != nil {
		ready <- err
		return err
	}
	defer conn.Close()
	_, err = io.WriteString(conn, "GET /k8s-proxy/exec HTTP/1.1\r\nHost: kas.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	r := bufio.NewReader(conn)
	if err == nil {
		var resp *http.Response
		if resp, err = http.ReadResponse(r, nil); err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
			err = fmt.Errorf("the upgrade was answered %s", resp.Status)
		}
	}
	ready <- err
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := 0; err == nil; i++ {
		line := fmt.Sprintln("line", i)
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err = io.WriteString(conn, line); err != nil {
			break
		}
		var got string
		if got, err = r.ReadString('\n'); err == nil && got != line {
			err = fmt.Errorf("%q came back as %q", line, got)
		}
		all.lines.Add(1)
		select {
		case <-all.stop:
			return err
		case <-tick.C:
		}
	}
	return err
}

// close ends the streams and says how many had ended before.
func (a *streams) close(t *testing.T) int {
	t.Helper()
	close(a.stop)
	a.work.Wait()
	close(a.why)
	for err := range a.why {
		t.Error("a stream has ended: ", err)
	}
	return int(a.ended.Load())
}

// echoes upgrades every request and sends back what comes.
func echoes(t *testing.T) string {
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
			work.Go(func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				if _, err := http.ReadRequest(r); err != nil {
					return
				}
				if _, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"); err == nil {
					_, _ = io.Copy(conn, r)
				}
			})
		}
	})
	return ln.Addr().String()
}

// turns is a TCP balancer: each connection goes to the next process.
type turns struct {
	ln   net.Listener
	mu   sync.Mutex
	to   []string
	seen []int
	next int
}

func newTurns(t *testing.T) *turns {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &turns{ln: ln}
	var work sync.WaitGroup
	t.Cleanup(func() { ln.Close(); work.Wait() })
	work.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			work.Go(func() { b.pass(conn) })
		}
	})
	return b
}

func (b *turns) addr() string { return b.ln.Addr().String() }
func (b *turns) port() int    { return b.ln.Addr().(*net.TCPAddr).Port }

func (b *turns) add(address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.to, b.seen = append(b.to, address), append(b.seen, 0)
}

// had is how many connections each process had.
func (b *turns) had() []int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]int(nil), b.seen...)
}

func (b *turns) pass(client net.Conn) {
	defer client.Close()
	b.mu.Lock()
	if len(b.to) == 0 {
		b.mu.Unlock()
		return
	}
	n := b.next % len(b.to)
	b.next++
	b.seen[n]++
	to := b.to[n]
	b.mu.Unlock()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(server, client); _ = server.(*net.TCPConn).CloseWrite() })
	both.Go(func() { _, _ = io.Copy(client, server); _ = client.(*net.TCPConn).CloseWrite() })
	both.Wait()
}
