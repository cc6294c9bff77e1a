package acme

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"kasgen/runtime/certs"
	"kasgen/runtime/certs/pebble"
)

// clock is a replica's options with a clock that can be set.
func (w *world) clock(dir string) (o Options, ahead *atomic.Int64) {
	ahead = new(atomic.Int64)
	o = w.options(dir)
	o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	return o, ahead
}

// TestClock sets the clock back and forth.
func TestClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{})
	o, ahead := w.clock(t.TempDir())
	s := w.replica(o)
	if err := s.Issue(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := serialOf(w.leafOf(kas))
	// A clock without a battery: to it the certificate is not valid yet. What
	// there is serves, after a start as well, and no other is ordered.
	ahead.Store(int64(-10 * 365 * 24 * time.Hour))
	again, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Source{s, again} {
		r.look(t.Context(), r.certs[0])
		if c := r.Certificate(kas); c == nil || serialOf(c.Leaf) != first || !certs.Ready(r, o.Now()) {
			t.Errorf("ten years ago the status is %+v", r.Status()[0])
		}
	}
	if n := len(w.placed()); n != 1 {
		t.Errorf("%d orders, want 1", n)
	}
	ahead.Store(int64(80 * 24 * time.Hour))
	s.look(t.Context(), s.certs[0])
	if serialOf(s.Certificate(kas).Leaf) == first {
		t.Errorf("not renewed after 80 days: %+v", s.Status()[0])
	}
	// To this clock every certificate is due at once; orders do not follow
	// each other for that.
	s.look(t.Context(), s.certs[0])
	s.look(t.Context(), s.certs[0])
	if n := len(w.placed()); n != 2 {
		t.Errorf("%d orders, want 2", n)
	}
	ahead.Store(0)
	w.leafOf(kas)
	if !certs.Ready(s, time.Now()) {
		t.Errorf("with the clock right the status is %+v", s.Status()[0])
	}
}

// TestClockWasAhead: while the clock was three days ahead an attempt failed. A
// wait of our own is an hour at the most, so with the clock right that one binds
// nobody.
func TestClockWasAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{})
	var down atomic.Bool
	w.answer(func(rw http.ResponseWriter, _ *http.Request) bool {
		if down.Load() {
			http.Error(rw, "closed for today", http.StatusServiceUnavailable)
		}
		return down.Load()
	})
	dir := t.TempDir()
	o, ahead := w.clock(dir)
	ahead.Store(int64(72 * time.Hour))
	down.Store(true)
	s := w.replica(o)
	s.look(t.Context(), s.certs[0])
	if st := s.Status()[0]; st.Failures != 1 || time.Until(st.Retry) < 71*time.Hour {
		t.Fatalf("without the CA the status is %+v", st)
	}
	ahead.Store(0)
	down.Store(false)
	if st := w.replica(w.options(dir)).Status()[0]; st.Error == "" || time.Until(st.Retry) > lastRetry {
		t.Errorf("a start with the clock right: %+v", st)
	}
	s.look(t.Context(), s.certs[0])
	if s.Certificate(kas) == nil {
		t.Errorf("with the clock right and the CA up: %+v", s.Status()[0])
	}
}

// TestClockBehind: an attempt failed for the eighth time, or the CA asked for a
// week. A replica whose clock is a little behind keeps that wait too, though to
// it the wait is longer than any that is ever kept.
func TestClockBehind(t *testing.T) {
	t.Parallel()
	for name, kept := range map[string]record{
		"of our own": {Until: time.Now().Add(lastRetry), Failures: 8, Error: "closed for today"},
		"the CA's":   {Until: time.Now().Add(longestAsked), Failures: 1, Asked: true, Error: "too many"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, pebble.Options{})
			o, ahead := w.clock(t.TempDir())
			ahead.Store(int64(-time.Minute))
			s := w.replica(o)
			s.putRecord(t.Context(), s.certs[0], kept)
			s.look(t.Context(), s.certs[0])
			if st := s.Status()[0]; len(w.placed()) != 0 || !st.Retry.Equal(kept.Until) || st.Error != kept.Error {
				t.Errorf("%d orders, %+v", len(w.placed()), st)
			}
		})
	}
}
