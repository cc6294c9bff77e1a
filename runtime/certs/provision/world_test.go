package provision_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kasgen/runtime/certs"
	"kasgen/runtime/certs/pebble"
	"kasgen/runtime/certs/provision"
	"kasgen/runtime/host"
)

func TestMain(m *testing.M) {
	// Validation is real and nonces are rejected; only its random sleep before
	// validating is off.
	if err := os.Setenv("PEBBLE_VA_NOSLEEP", "1"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"))
}

const (
	kas = "kas.example.com"
	// patient bounds what ought to be there soon.
	patient = time.Minute
)

// world is a state directory, a CA that can be away, and who answers its
// challenges on a TLS port.
type world struct {
	t   *testing.T
	dir string
	ca  *pebble.Server
	tls net.Listener
	log *lines

	mu      sync.Mutex
	source  certs.Source
	changed int
}

func newWorld(t *testing.T, o pebble.Options) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), log: &lines{}}
	var err error
	if w.tls, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	o.TLSPort, o.HTTPPort, o.Validity = w.tls.Addr().(*net.TCPAddr).Port, 1, cmp.Or(o.Validity, 90*24*time.Hour)
	if w.ca, err = pebble.Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() { w.accept(&conns) })
	t.Cleanup(func() {
		if err := w.ca.Close(); err != nil {
			t.Error(err)
		}
		w.tls.Close()
		conns.Wait()
	})
	return w
}

// accept ends TLS with whatever the source has.
func (w *world) accept(conns *sync.WaitGroup) {
	for {
		raw, err := w.tls.Accept()
		if err != nil {
			return
		}
		conns.Go(func() {
			defer raw.Close()
			w.mu.Lock()
			src := w.source
			w.mu.Unlock()
			if src == nil {
				return
			}
			c := tls.Server(raw, certs.Listen(&tls.Config{MinVersion: tls.VersionTLS12}, src))
			_, _ = io.Copy(c, c)
		})
	}
}

// file is a certs.yaml below the world's directory.
func (w *world) file(edits ...string) []byte {
	w.t.Helper()
	text := strings.NewReplacer("DIR", w.dir, "CA", w.ca.Directory()).Replace(`apiVersion: kasgen/v1
kind: Certificates
source: acme
acme:
  directory: CA
  keyType: ecdsa256
  challenge: tls-alpn-01
  cache:
    directory: DIR/certs
certificates:
  - names: [kas.example.com]
    certificateFile: DIR/tls/kas.crt
    keyFile: DIR/tls/kas.key
    combinedFile: DIR/tls/kas.pem
observability:
  listen: 127.0.0.1:8156
drain: 1s
`)
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(text, edits[i]) {
			w.t.Fatalf("no %q in %s", edits[i], text)
		}
		text = strings.Replace(text, edits[i], strings.ReplaceAll(edits[i+1], "DIR", w.dir), 1)
	}
	return []byte(text)
}

func (w *world) host() *host.Host {
	h := host.Machine(slog.New(slog.NewTextHandler(w.log, nil)))
	h.Roots = w.ca.Front()
	h.Listen = func(ctx context.Context, network, _ string) (net.Listener, error) {
		var lc net.ListenConfig
		return lc.Listen(ctx, network, "127.0.0.1:0")
	}
	return h
}

// role is a certs.yaml that runs.
type role struct {
	*provision.Server
	w    *world
	stop func()
}

// make makes a role and lets its source answer; nothing runs yet.
func (w *world) make(h *host.Host, text []byte) (*provision.Server, error) {
	c, err := provision.Load("certs.yaml", text)
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := c.New(w.t.Context(), h, func(context.Context) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.changed++
		return nil
	}, nil)
	if err == nil {
		w.mu.Lock()
		w.source = s.Source()
		w.mu.Unlock()
	}
	return s, err
}

func (w *world) run(h *host.Host, text []byte) *role {
	w.t.Helper()
	s, err := w.make(h, text)
	if err != nil {
		w.t.Fatal(err)
	}
	certs.Expose(h.Metrics, s.Status) // as whoever runs roles does, for all of them
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	r := &role{Server: s, w: w}
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(r.stop)
	return r
}

// ask is an answer of the observability listener.
func (r *role) ask(path string) (int, string) {
	r.w.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(fmt.Sprintf("http://%s%s", r.Addrs()["127.0.0.1:8156"], path))
	if err != nil {
		r.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.w.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func (r *role) ready() bool { code, _ := r.ask("/readiness"); return code == http.StatusOK }

// leaf is what lies in a file, once its key is there too: two files are not
// replaced in one moment.
func (w *world) leaf(name string) (leaf *x509.Certificate) {
	w.t.Helper()
	await(w.t, name+" and its key", func() bool {
		c, err := certs.Parse(read(w.t, filepath.Join(w.dir, "tls", name)), read(w.t, filepath.Join(w.dir, "tls", "kas.key")))
		if err != nil {
			return false
		}
		leaf = c.Leaf
		return true
	})
	return leaf
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
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

// trusts says whether a client that trusts roots gets through TLS.
func (w *world) trusts(roots *x509.CertPool) error {
	c, err := tls.Dial("tcp", w.tls.Addr().String(), &tls.Config{ServerName: kas, RootCAs: roots, MinVersion: tls.VersionTLS12})
	if err != nil {
		return err
	}
	return c.Close()
}

// lines is what was logged.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
