package acme

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kasgen/runtime/certs"
	"kasgen/runtime/certs/pebble"
)

// away is a cache that cannot be reached for a while: to lock, or at all.
type away struct {
	Cache
	lock, all atomic.Bool
}

var errAway = errors.New("the cache is away")

func (a *away) Lock(ctx context.Context, name string) (context.Context, func(), error) {
	if a.lock.Load() || a.all.Load() {
		return nil, nil, errAway
	}
	return a.Cache.Lock(ctx, name)
}

func (a *away) Get(ctx context.Context, key string) ([]byte, error) {
	if a.all.Load() {
		return nil, errAway
	}
	return a.Cache.Get(ctx, key)
}

// TestCacheAway: without what replicas share nothing is ordered, what serves
// goes on serving, and what the CA has asked for is not forgotten.
func TestCacheAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{})
	o := w.options(t.TempDir())
	c := &away{Cache: o.Cache}
	o.Cache = c
	s := w.replica(o)
	if err := s.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	asked := record{Until: time.Now().Add(time.Hour).Round(0), Asked: true, Error: "too many"}
	s.putRecord(t.Context(), s.certs[0], asked)
	for what, gone := range map[string]*atomic.Bool{"lock": &c.lock, "cache": &c.all} {
		gone.Store(true)
		if err := s.Renew(t.Context()); !errors.Is(err, errAway) {
			t.Errorf("without the %s: %v", what, err)
		}
		if st := s.Status()[0]; !certs.Ready(s, time.Now()) || !strings.Contains(st.Error, errAway.Error()) || st.Retry.After(time.Now().Add(time.Minute)) {
			t.Errorf("without the %s the status is %+v", what, st)
		}
		w.leafOf(kas)
		gone.Store(false)
		s.look(t.Context(), s.certs[0])
		if st := s.Status()[0]; st.Error != "" || !st.Retry.IsZero() {
			t.Errorf("with the %s back the status is %+v", what, st)
		}
		if got := s.record(t.Context(), s.certs[0]); !got.Until.Equal(asked.Until) || !got.Asked {
			t.Errorf("without the %s the CA's word became %+v", what, got)
		}
	}
	if n := len(w.placed()); n != 1 {
		t.Errorf("%d orders, want 1", n)
	}
	// Who starts without it serves nothing, says so, and gets over it.
	c.all.Store(true)
	next := w.replica(o)
	if st := next.Status()[0]; next.Certificate(kas) != nil || !strings.Contains(st.Error, errAway.Error()) {
		t.Errorf("a start without the cache: %+v", st)
	}
	run(t, next)
	c.all.Store(false)
	await(t, "the certificate", ready(next))
}

// losing is a cache whose locks can be lost.
type losing struct {
	Cache
	mu   sync.Mutex
	lose map[string]context.CancelCauseFunc // by lock
}

func (l *losing) Lock(ctx context.Context, name string) (context.Context, func(), error) {
	locked, unlock, err := l.Cache.Lock(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	locked, lose := context.WithCancelCause(locked)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lose[name] = lose
	return locked, func() { lose(context.Canceled); unlock() }, nil
}

// TestLockLost: who loses a lock while it orders breaks off, blames nobody, and
// writes nothing over what its successor remembers.
func TestLockLost(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ path, lock string }{{"/order-plz", kas}, {"/sign-me-up", accountName}} {
		t.Run(tt.lock, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, pebble.Options{})
			o := w.options(t.TempDir())
			c := &losing{Cache: o.Cache, lose: map[string]context.CancelCauseFunc{}}
			o.Cache = c
			s := w.replica(o)
			var once sync.Once
			w.answer(func(_ http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == tt.path {
					once.Do(func() {
						c.mu.Lock()
						defer c.mu.Unlock()
						c.lose[s.prefix+tt.lock](ErrLockLost)
						<-r.Context().Done() // of the client, which goes
					})
				}
				return false
			})
			if err := s.Renew(t.Context()); !errors.Is(err, ErrLockLost) {
				t.Errorf("%v, want %v", err, ErrLockLost)
			}
			if got := s.record(t.Context(), s.certs[0]); got != (record{}) {
				t.Errorf("there is a record of it: %+v", got)
			}
			if st := s.Status()[0]; !strings.Contains(st.Error, ErrLockLost.Error()) {
				t.Errorf("%+v", st)
			}
			run(t, s)
			await(t, "the certificate", ready(s))
		})
	}
}
