package runtime

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kasgen/runtime/certs"
	"kasgen/runtime/certs/pebble"
	"kasgen/runtime/certs/streamtest"
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
	s := &street{t: t, dir: unpacked(t, "../generator/testdata/render/"+golden), state: t.TempDir(), tls: newTurns(t), web: newTurns(t), echo: streamtest.Echo(t)}
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
