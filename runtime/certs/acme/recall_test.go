package acme

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kasgen/runtime/certs/pebble"
)

// TestRecall: what one replica was told by the CA, good or bad, another knows
// from the cache without asking.
func TestRecall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{})
	var asked atomic.Int32
	w.answer(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "renewalInfo") || strings.Contains(r.URL.Path, "renewal-info") {
			asked.Add(1)
		}
		return false
	})
	dir := t.TempDir()
	a := w.replica(w.options(dir))
	if err := a.Issue(t.Context()); err != nil {
		t.Fatal(err)
	}
	from, to := time.Now().Add(5*24*time.Hour).Round(time.Second), time.Now().Add(6*24*time.Hour).Round(time.Second)
	if err := w.ca.Suggest(a.Certificate(kas).Leaf, from, to); err != nil {
		t.Fatal(err)
	}
	a.look(t.Context(), a.certs[0])
	want := a.Status()[0].Renewal
	if want.Before(from) || want.After(to) {
		t.Fatalf("to be renewed at %s, want it from %s to %s", want, from, to)
	}
	n := asked.Load()
	b := w.replica(w.options(dir))
	if got := b.Status()[0].Renewal; !got.Equal(want) {
		t.Errorf("another replica renews at %s, want %s", got, want)
	}
	b.look(t.Context(), b.certs[0])
	if asked.Load() != n || n == 0 {
		t.Errorf("the CA was asked %d times, then %d", n, asked.Load())
	}
	// What is there and not due is left alone.
	if err := b.Issue(t.Context()); err != nil || len(w.placed()) != 1 {
		t.Errorf("issuing what is there: %v, %d orders", err, len(w.placed()))
	}
	a.putRecord(t.Context(), a.certs[0], record{Failures: 2, Error: "no route", Until: time.Now().Add(time.Hour)})
	c := w.replica(w.options(dir))
	if st := c.Status()[0]; st.Error != "no route" || st.Retry.IsZero() || st.Failures != 0 {
		t.Errorf("after another's failure the status is %+v", st)
	}
}
