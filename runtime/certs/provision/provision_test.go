package provision_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kasgen/runtime/certs"
	"kasgen/runtime/certs/pebble"
	"kasgen/runtime/host"
)

// TestFirstStart: programs find a placeholder, then the certificate, and who
// watches is told which.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{})
	s, err := w.make(w.host(), w.file())
	if err != nil {
		t.Fatal(err)
	}
	if !certs.IsPlaceholder(w.leaf("kas.crt")) || !certs.IsPlaceholder(w.leaf("kas.pem")) {
		t.Error("no placeholder")
	}
	if err := w.trusts(w.ca.Roots()); err == nil {
		t.Error("a handshake succeeds with a placeholder")
	}
	s.Close()
	r := w.run(w.host(), w.file())
	await(t, "a certificate", r.ready)
	if err := w.trusts(w.ca.Roots()); err != nil {
		t.Error(err)
	}
	await(t, "the files", func() bool { return !certs.IsPlaceholder(w.leaf("kas.pem")) })
	await(t, "the word that they have changed", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.changed == 1 })
	for _, file := range []string{"kas.crt", "kas.key", "kas.pem"} {
		if info, err := os.Stat(filepath.Join(w.dir, "tls", file)); err != nil || info.Mode().Perm() != 0o600 {
			t.Error(file, info.Mode(), err)
		}
	}
	if code, _ := r.ask("/liveness"); code != http.StatusOK {
		t.Error(code)
	}
	if _, metrics := r.ask("/metrics"); !strings.Contains(metrics, `kasgen_certificate_ready{name="kas.example.com",source="acme"} 1`) {
		t.Error(metrics)
	}
	if w.ca.Orders() != 1 {
		t.Errorf("%d orders", w.ca.Orders())
	}
	// A second start asks the CA nothing, and programs need not be told.
	r.stop()
	again := w.run(w.host(), w.file())
	if !again.ready() || w.ca.Orders() != 1 {
		t.Errorf("ready %v, %d orders", again.ready(), w.ca.Orders())
	}
	if strings.Contains(w.log.String(), "PRIVATE KEY") {
		t.Error("a key is in the log")
	}
}

// down is a host from which nobody reaches the CA.
func down(h *host.Host) *host.Host {
	h.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("the CA is away") }
	return h
}

// TestAway: without a certificate the state is clear and the process stays up;
// what is on disk serves.
func TestAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{})
	r := w.run(down(w.host()), w.file())
	await(t, "the reason", func() bool {
		code, why := r.ask("/readiness")
		return code == http.StatusServiceUnavailable && strings.Contains(why, "KAS3301: "+kas+": there is no certificate that is valid: ") && strings.Contains(why, "the CA is away")
	})
	if _, metrics := r.ask("/metrics"); !strings.Contains(metrics, `kasgen_certificate_ready{name="kas.example.com",source="acme"} 0`) ||
		!strings.Contains(metrics, `kasgen_certificate_failures_total{name="kas.example.com",source="acme"} 1`) {
		t.Error(metrics)
	}
	st := r.Status()[0]
	if !st.Retry.After(time.Now()) {
		t.Errorf("no next attempt: %+v", st)
	}
	if code, _ := r.ask("/liveness"); code != http.StatusOK || !certs.IsPlaceholder(w.leaf("kas.crt")) {
		t.Error("not alive, or no placeholder")
	}
}

// TestSoon: who asks whether it is ready hears that a certificate has few days
// left, and metrics tell of it.
func TestSoon(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{Validity: 12*24*time.Hour + time.Hour})
	r := w.run(w.host(), w.file())
	await(t, "a certificate", r.ready)
	if code, found := r.ask("/readiness"); code != http.StatusOK || found != "warning: KAS3302: "+kas+": the certificate expires in 12 days\n" {
		t.Error(code, found)
	}
	if _, metrics := r.ask("/metrics"); !strings.Contains(metrics, `kasgen_certificate_finding{code="KAS3302",name="kas.example.com",severity="warning",source="acme"} 1`) {
		t.Error(metrics)
	}
}

// TestCached: with a certificate in the cache nothing is missed while the CA is
// away, and lost files come back.
func TestCached(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{})
	r := w.run(w.host(), w.file())
	await(t, "a certificate", r.ready)
	r.stop()
	if err := os.RemoveAll(filepath.Join(w.dir, "tls")); err != nil {
		t.Fatal(err)
	}
	again := w.run(down(w.host()), w.file())
	if err := w.trusts(w.ca.Roots()); err != nil || !again.ready() || certs.IsPlaceholder(w.leaf("kas.crt")) {
		t.Error("the cache does not serve", err)
	}
}

// TestForeignFiles: what lies on disk by another's doing serves until there is
// something better, and is never taken for obtained.
func TestForeignFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{})
	r := w.run(w.host(), w.file())
	await(t, "a certificate", r.ready)
	r.stop()
	forget := func() {
		if err := os.RemoveAll(filepath.Join(w.dir, "certs")); err != nil {
			t.Fatal(err)
		}
	}
	forget()
	before := w.leaf("kas.crt")
	away := w.run(down(w.host()), w.file())
	if err := w.trusts(w.ca.Roots()); err != nil {
		t.Error("what was on disk does not serve: ", err)
	}
	if away.ready() {
		t.Error("what nobody here has obtained is called ready")
	}
	away.stop()
	forget() // when to try again, which the next start would keep to
	r = w.run(w.host(), w.file())
	await(t, "a certificate of our own", r.ready)
	await(t, "another file", func() bool { return !w.leaf("kas.crt").Equal(before) })
}

// TestSettings: an external account, a sealed cache, and keys that are no keys.
func TestSettings(t *testing.T) {
	t.Parallel()
	mac := strings.Repeat("k", 32)
	w := newWorld(t, pebble.Options{ExternalAccounts: map[string]string{"17": base64.RawURLEncoding.EncodeToString([]byte(mac))}})
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("eab", base64.URLEncoding.EncodeToString([]byte(mac))+"\n")
	write("seal", strings.Repeat("s", 32))
	write("bad", "not/base64 url")
	account := []string{"  keyType: ecdsa256\n", "  keyType: ecdsa384\n  email: ops@example.com\n  externalAccount:\n    keyID: \"17\"\n    keyFile: DIR/eab\n",
		"    directory: DIR/certs\n", "    directory: DIR/certs\n    keyFile: DIR/seal\n"}
	account[2] = strings.ReplaceAll(account[2], "DIR", w.dir)
	r := w.run(w.host(), w.file(account...))
	await(t, "a certificate", r.ready)
	entries, err := os.ReadDir(filepath.Join(w.dir, "certs"))
	if err != nil || len(entries) < 3 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		if strings.Contains(string(read(t, filepath.Join(w.dir, "certs", e.Name()))), "BEGIN") {
			t.Errorf("%s is in clear", e.Name())
		}
	}
	for name, edit := range map[string][]string{
		"not base64": {"DIR/eab", "DIR/bad"}, "no MAC key": {"DIR/eab", "DIR/none"}, "no seal": {"DIR/seal", "DIR/none"}, "a short seal": {"DIR/seal", "DIR/bad"},
	} {
		edits := make([]string, len(account))
		for i, e := range account {
			edits[i] = strings.Replace(e, edit[0], edit[1], 1)
		}
		if s, err := w.make(w.host(), w.file(edits...)); err == nil {
			s.Close()
			t.Error(name)
		}
	}
}

// TestRetireAnswers has whoever asks while another takes the place answered, when
// the request is the connection's first: to net/http's Shutdown such a connection
// is one without a request.
func TestRetireAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{})
	r := w.run(w.host(), w.file())
	var waiting [10]net.Conn
	for i := range waiting {
		c, err := net.Dial("tcp", r.Addrs()["127.0.0.1:8156"].String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET /liveness HTTP/1.1\r\nHost"); err != nil {
			t.Fatal(err)
		}
		waiting[i] = c
	}
	r.ask("/liveness") // so the earlier ones have been accepted
	r.Retire()
	for i, c := range waiting {
		if _, err := io.WriteString(c, ": h\r\n\r\n"); err != nil {
			t.Error(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("connection %d: %v", i, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("connection %d: %s", i, resp.Status)
		}
	}
}

// TestRetire ends at once, with the listener free and the files as they are.
func TestRetire(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{})
	s, err := w.make(w.host(), w.file())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(t.Context()) }()
	s.Retire()
	s.Retire()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
