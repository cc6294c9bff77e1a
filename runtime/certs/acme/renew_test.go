package acme

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	xacme "golang.org/x/crypto/acme"

	"kasgen/runtime/certs"
	"kasgen/runtime/certs/pebble"
)

// open makes streams that live on, and a check that each does.
func (w *world) open(n int) (alive func(line string)) {
	w.t.Helper()
	conns := make([]*tls.Conn, n)
	for i := range conns {
		c, err := w.dial(kas)
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { c.Close() })
		conns[i] = c
	}
	return func(line string) {
		w.t.Helper()
		for i, c := range conns {
			if err := echo(c, line); err != nil {
				w.t.Errorf("stream %d has ended: %v", i, err)
			}
		}
	}
}

func serialOf(c *x509.Certificate) string { return c.SerialNumber.String() }

// TestRenew renews three times below streams that carry data all the while.
func TestRenew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{})
	s := w.replica(w.options(t.TempDir()))
	run(t, s)
	await(t, "a certificate", ready(s))
	alive := w.open(200)
	seen := map[string]bool{serialOf(w.leafOf(kas)): true}
	keys := map[string]bool{string(w.leafOf(kas).RawSubjectPublicKeyInfo): true}
	for i := range 3 {
		if err := s.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		now := w.leafOf(kas)
		if seen[serialOf(now)] || keys[string(now.RawSubjectPublicKeyInfo)] {
			t.Errorf("renewal %d shows a certificate or a key that was there before", i+1)
		}
		seen[serialOf(now)], keys[string(now.RawSubjectPublicKeyInfo)] = true, true
		alive(fmt.Sprint("after renewal ", i+1))
	}
	placed := w.placed()
	if len(placed) != 4 {
		t.Errorf("%d orders, want 4", len(placed))
	}
	for i, order := range placed {
		if strings.Contains(order, `"replaces":`) != (i > 0) {
			t.Errorf("order %d is %s: each but the first says what it replaces", i, order)
		}
	}
}

// TestSuggestion: the CA wants a fresh certificate replaced now, as after an
// accident of its own.
func TestSuggestion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{})
	var ahead atomic.Int64
	o := w.options(t.TempDir())
	o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	s := w.replica(o)
	run(t, s)
	await(t, "a certificate", ready(s))
	first := w.leafOf(kas)
	await(t, "the CA's usual suggestion", func() bool {
		c := s.certs[0]
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.ari.valid()
	})
	if err := w.ca.Suggest(first, time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if len(w.placed()) != 1 {
		t.Fatal("renewed without being told")
	}
	ahead.Store(int64(7 * time.Hour)) // the CA said to ask again after six
	await(t, "the renewal", func() bool { return serialOf(s.Certificate(kas).Leaf) != serialOf(first) })
	if placed := w.placed(); len(placed) != 2 || !strings.Contains(placed[1], `"replaces":"`+certID(first)+`"`) {
		t.Errorf("orders %v, want a second one that replaces %s", placed, certID(first))
	}
	if !strings.Contains(w.log.String(), "https://ca.invalid/why") {
		t.Error("the CA's explanation was not passed on")
	}
}

// TestSuggestionMalformed: an answer that makes no sense is no reason to do
// anything.
func TestSuggestionMalformed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{})
	o := w.options(t.TempDir())
	s := w.replica(o)
	if err := s.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	leaf := s.Certificate(kas).Leaf
	for _, answer := range []string{"{", "[]", `{"suggestedWindow":{"start":"2030-01-02T00:00:00Z","end":"2030-01-01T00:00:00Z"}}`,
		`{"suggestedWindow":{"start":"soon","end":"later"}}`, strings.Repeat(" ", ariSize+1) + "{}"} {
		if err := w.ca.SuggestRaw(leaf, answer); err != nil {
			t.Fatal(err)
		}
		got, err := s.suggested(t.Context(), leaf, renewalInfo{})
		if err == nil || got.valid() || got.next.Before(time.Now().Add(time.Hour)) {
			t.Errorf("%.60q: %+v, %v", answer, got, err)
		}
	}
}

// TestDown starts without the CA: once with nothing, once with what another
// start has left.
func TestDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{})
	var down atomic.Bool
	var asked atomic.Int32
	w.answer(func(rw http.ResponseWriter, _ *http.Request) bool {
		if down.Load() {
			asked.Add(1)
			http.Error(rw, "closed for today", http.StatusServiceUnavailable)
		}
		return down.Load()
	})
	down.Store(true)
	dir := t.TempDir()
	o := w.options(dir)
	s := w.replica(o)
	stop := run(t, s)
	await(t, "an attempt to fail", func() bool { return asked.Load() > 0 && s.Status()[0].Failures > 0 })
	st := s.Status()[0]
	if certs.Ready(s, time.Now()) || st.Failures == 0 || st.Error == "" || !st.NotAfter.IsZero() {
		t.Errorf("without the CA the status is %+v", st)
	}
	if _, err := w.dial(kas); err == nil {
		t.Error("a handshake came through without a certificate")
	}
	down.Store(false)
	await(t, "a certificate", ready(s))
	if st := s.Status()[0]; st.Error != "" || !st.Retry.IsZero() {
		t.Errorf("after all is well the status is %+v", st)
	}
	stop()
	w.leave()

	down.Store(true)
	w.ca.Client().CloseIdleConnections()
	again := w.replica(w.options(dir))
	if !certs.Ready(again, time.Now()) {
		t.Error("what is in the cache does not serve")
	}
	run(t, again)
	if err := again.Renew(t.Context()); err == nil {
		t.Error("renewed without the CA")
	}
	w.leafOf(kas)
	if !certs.Ready(again, time.Now()) || again.Status()[0].Error == "" {
		t.Errorf("after a renewal that failed the status is %+v", again.Status()[0])
	}
}

// TestRetryAfter: a CA that limits is left alone for as long as it says, by
// every replica, after every start, and by who wants to renew at once.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{})
	var limited atomic.Bool
	var refusals atomic.Int32
	limited.Store(true)
	w.answer(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/order-plz" || !limited.Load() {
			return false
		}
		refusals.Add(1)
		rw.Header().Set("Retry-After", "3600")
		rw.Header().Set("Content-Type", "application/problem+json")
		rw.WriteHeader(http.StatusTooManyRequests)
		_ = json.NewEncoder(rw).Encode(map[string]any{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many certificates"})
		return true
	})
	dir := t.TempDir()
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	o := w.options(dir)
	o.Now = now
	a := w.replica(o)
	stop := run(t, a)
	await(t, "the refusal", func() bool { return a.Status()[0].Failures > 0 })
	stop()
	other := w.options(dir)
	other.Now = now
	b := w.replica(other) // another replica, or the next start
	run(t, b)
	await(t, "the other to hear of it", func() bool { return !b.Status()[0].Retry.IsZero() })
	if err := b.Renew(t.Context()); err == nil || !strings.Contains(err.Error(), "too many certificates") {
		t.Errorf("renewing at once: %v", err)
	}
	if wait := time.Until(b.Status()[0].Retry); wait < 50*time.Minute || wait > time.Hour {
		t.Errorf("the next attempt is in %s, want an hour", wait)
	}
	if n := refusals.Load(); n != 1 {
		t.Errorf("the CA was asked %d times, want once", n)
	}
	limited.Store(false)
	ahead.Store(int64(61 * time.Minute))
	await(t, "a certificate", func() bool { return b.Certificate(kas) != nil })
}

// TestRevokedAccount: the account is deactivated behind our back.
func TestRevokedAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{})
	dir := t.TempDir()
	s := w.replica(w.options(dir))
	if err := s.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	deactivate := func() {
		t.Helper()
		key, err := s.accountKey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c := &xacme.Client{Key: key, DirectoryURL: w.ca.Directory(), HTTPClient: s.o.Client}
		if err := c.DeactivateReg(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	deactivate() // while it is in use
	if err := s.Renew(t.Context()); err != nil {
		t.Errorf("renewing with a revoked account: %v", err)
	}
	deactivate() // while nobody runs
	w.leave()
	if s = w.replica(w.options(dir)); s.Renew(t.Context()) != nil {
		t.Errorf("renewing after a start with a revoked account: %v", s.Status()[0].Error)
	}
	// Its place is taken by the new one for good.
	if err := s.Renew(t.Context()); err != nil {
		t.Error(err)
	}
	if n := w.made(); n != 3 {
		t.Errorf("%d accounts were made, want 3", n)
	}
}
