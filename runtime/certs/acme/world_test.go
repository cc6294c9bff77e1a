package acme

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kasgen/runtime/certs"
	"kasgen/runtime/certs/pebble"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(lockIn); dir != "" {
		os.Exit(holdLock(dir))
	}
	// Validation is real and nonces are rejected; only its random sleep before
	// validating is off.
	if err := os.Setenv("PEBBLE_VA_NOSLEEP", "1"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"))
}

const (
	kas  = "kas.example.com"
	grpc = "kas-grpc.example.com"
	// patient bounds what ought to be there soon.
	patient = time.Minute
)

// world is a CA, and a front with a TLS and an HTTP port behind which any
// number of replicas take turns.
type world struct {
	t        *testing.T
	ca       *pebble.Server
	tls, web net.Listener
	turn     atomic.Uint32
	log      logged

	mu       sync.Mutex
	replicas []*Source
	front    func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
	orders   []string                                          // payloads
	accounts []string                                          // payloads
}

func newWorld(t *testing.T, o pebble.Options) *world {
	t.Helper()
	w := &world{t: t, tls: listen(t), web: listen(t)}
	o.TLSPort, o.HTTPPort = w.tls.Addr().(*net.TCPAddr).Port, w.web.Addr().(*net.TCPAddr).Port
	if o.Validity == 0 {
		o.Validity = 90 * 24 * time.Hour
	}
	o.Front = w.intercept
	w.start(o)
	w.serve()
	return w
}

func (w *world) start(o pebble.Options) {
	w.t.Helper()
	var err error
	if w.ca, err = pebble.Start(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := w.ca.Close(); err != nil {
			w.t.Error(err)
		}
	})
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// intercept counts orders and accounts, and lets a test answer for the CA.
func (w *world) intercept(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		front := w.front
		w.mu.Unlock()
		if front != nil && front(rw, r) {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		rec := &recorder{ResponseWriter: rw}
		next.ServeHTTP(rec, r)
		if rec.status != http.StatusCreated {
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		var jws struct{ Payload string }
		_ = json.Unmarshal(body, &jws)
		payload, _ := base64.RawURLEncoding.DecodeString(jws.Payload)
		switch r.URL.Path {
		case "/order-plz":
			w.orders = append(w.orders, string(payload))
		case "/sign-me-up":
			w.accounts = append(w.accounts, string(payload))
		}
	})
}

type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) { r.status = status; r.ResponseWriter.WriteHeader(status) }

func (w *world) answer(f func(http.ResponseWriter, *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.front = f
}

func (w *world) placed() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.orders)
}

// made is how many accounts the CA has made.
func (w *world) made() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.accounts)
}

// next is the replica whose turn it is.
func (w *world) next() *Source {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.replicas) == 0 {
		return nil
	}
	return w.replicas[int(w.turn.Add(1))%len(w.replicas)]
}

// serve echoes lines over TLS, and answers http-01.
func (w *world) serve() {
	base := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1", "h2"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }}
	ln := tls.NewListener(w.tls, &tls.Config{MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			src := w.next()
			if src == nil {
				return nil, errors.New("nobody is here")
			}
			c := certs.Listen(base, src)
			if answer, err := c.GetConfigForClient(hello); answer != nil || err != nil {
				return answer, err
			}
			return c, nil
		}})
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			})
		}
	})
	web := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if src := w.next(); src != nil {
			src.HTTPHandler(http.NotFoundHandler()).ServeHTTP(rw, r)
		}
	})}
	conns.Go(func() { _ = web.Serve(w.web) })
	w.t.Cleanup(func() {
		ln.Close()
		web.Close()
		conns.Wait()
	})
}

// options are of a replica with a cache in dir.
func (w *world) options(dir string) Options {
	w.t.Helper()
	cache, err := OpenDirectory(dir)
	if err != nil {
		w.t.Fatal(err)
	}
	client := w.ca.Client()
	w.t.Cleanup(client.CloseIdleConnections)
	return Options{Log: slog.New(slog.NewTextHandler(&w.log, nil)), Directory: w.ca.Directory(), Contact: []string{"ops@example.com"},
		Certificates: [][]string{{kas}}, Challenges: []Challenge{TLSALPN01}, Cache: cache, Client: client,
		Check: 20 * time.Millisecond, Retry: 20 * time.Millisecond}
}

// replica joins the front.
func (w *world) replica(o Options) *Source {
	w.t.Helper()
	s, err := New(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.replicas = append(w.replicas, s)
	return s
}

// leave takes all replicas out of the front.
func (w *world) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.replicas = nil
}

// run runs s until stop, or the end of the test.
func run(t *testing.T, s *Source) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// await waits for f to hold.
func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patient)
	for !f() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("waited in vain for " + what)
		}
	}
}

func ready(s *Source) func() bool { return func() bool { return certs.Ready(s, time.Now()) } }

// dial connects as an agent does, and checks the certificate.
func (w *world) dial(name string) (*tls.Conn, error) {
	return tls.Dial("tcp", w.tls.Addr().String(), &tls.Config{ServerName: name, RootCAs: w.ca.Roots(), NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12})
}

// leafOf is what the front shows for a name.
func (w *world) leafOf(name string) *x509.Certificate {
	w.t.Helper()
	conn, err := w.dial(name)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

// echo sends a line and reads it back.
func echo(conn net.Conn, line string) error {
	_ = conn.SetDeadline(time.Now().Add(patient))
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return err
	}
	got, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && got != line+"\n" {
		err = errors.New("came back as " + got)
	}
	return err
}

// logged is what was logged, for tests to look at.
type logged struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
