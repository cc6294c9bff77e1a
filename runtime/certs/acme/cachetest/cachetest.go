// Package cachetest holds every kind of acme.Cache to what the interface says.
// It knows none of them. Its law: a cache that passes can be shared by replicas.
package cachetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/acme/autocert"

	"kasgen/runtime/certs/acme"
)

// Run tries caches that open gives: each call is another replica's view of the
// same cache, which is empty at first.
func Run(t *testing.T, open func(t *testing.T) acme.Cache) {
	t.Helper()
	a, b := open(t), open(t)
	for name, f := range map[string]func(*testing.T, acme.Cache, acme.Cache){
		"entries": entries, "at once": atOnce, "lock": exclusion, "waiting": waiting,
	} {
		t.Run(name, func(t *testing.T) { f(t, a, b) })
	}
}

func entries(t *testing.T, a, b acme.Cache) {
	ctx := t.Context()
	want := map[string]string{}
	// Names, tokens of base64url, and what differs by little.
	for i, key := range []string{"ca.invalid+0a1b2c3d+kas.example.com", "x+alpn", "x+token", "x_token", "x-token", "x_2btoken", "X+token",
		"Zm9v_-bar+token", strings.Repeat("long.", 48) + "+state"} {
		want[key] = fmt.Sprint("entry ", i, "\x00\n")
	}
	for key, text := range want {
		if got, err := b.Get(ctx, key); !errors.Is(err, autocert.ErrCacheMiss) {
			t.Errorf("%s before it is there: %q, %v, want autocert.ErrCacheMiss", key, got, err)
		}
		if err := a.Put(ctx, key, []byte("older")); err != nil {
			t.Fatal(err)
		}
		if err := a.Put(ctx, key, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]string{}
	for key := range want {
		data, err := b.Get(ctx, key)
		if err != nil {
			t.Errorf("%s: %v", key, err)
		}
		got[key] = string(data)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the other replica reads (-want +got):\n%s", diff)
	}
	for key := range want {
		for range 2 { // the second time there is nothing
			if err := b.Delete(ctx, key); err != nil {
				t.Error(err)
			}
		}
		if got, err := a.Get(ctx, key); !errors.Is(err, autocert.ErrCacheMiss) {
			t.Errorf("%s after it is gone: %q, %v, want autocert.ErrCacheMiss", key, got, err)
		}
	}
	if err := errors.Join(a.Put(ctx, "nothing", nil), a.Put(ctx, "nothing", []byte{})); err != nil {
		t.Error(err)
	}
	if data, err := b.Get(ctx, "nothing"); err != nil || len(data) != 0 {
		t.Errorf("an empty entry: %q, %v", data, err)
	}
}

// atOnce writes from many sides: no entry is lost to another's writing.
func atOnce(t *testing.T, a, b acme.Cache) {
	const n = 20
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			c := []acme.Cache{a, b}[i%2]
			if err := c.Put(t.Context(), fmt.Sprint("once", i), []byte{byte(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i := range n {
		if data, err := a.Get(t.Context(), fmt.Sprint("once", i)); err != nil || len(data) != 1 || data[0] != byte(i) {
			t.Errorf("entry %d is %v, %v", i, data, err)
		}
	}
}

// exclusion has four want one lock, two in each replica.
func exclusion(t *testing.T, a, b acme.Cache) {
	var in, times atomic.Int32
	var all sync.WaitGroup
	for _, c := range []acme.Cache{a, b, a, b} {
		all.Go(func() {
			locked, unlock, err := c.Lock(t.Context(), "the+lock")
			if err != nil {
				t.Error(err)
				return
			}
			if in.Add(1) != 1 {
				t.Error("two have the lock")
			}
			if _, err := c.Get(t.Context(), "anything"); !errors.Is(err, autocert.ErrCacheMiss) {
				t.Errorf("reading under the lock: %v", err)
			}
			if err := locked.Err(); err != nil {
				t.Errorf("the lock ended while it was held: %v", err)
			}
			in.Add(-1)
			times.Add(1)
			unlock()
			if locked.Err() == nil {
				t.Error("work under a lock that was given back could go on")
			}
		})
	}
	all.Wait()
	if times.Load() != 4 {
		t.Errorf("the lock was had %d times, want 4", times.Load())
	}
}

// waiting is told to stop, and others' locks are no hindrance.
func waiting(t *testing.T, a, b acme.Cache) {
	_, unlock, err := a.Lock(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, _, err := b.Lock(ctx, "one"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a lock that another has: %v, want the context's error", err)
	}
	_, other, err := b.Lock(t.Context(), "another")
	if err != nil {
		t.Fatal(err)
	}
	other()
	unlock()
	stop, end := context.WithCancel(t.Context())
	defer end()
	locked, again, err := b.Lock(stop, "one")
	if err != nil {
		t.Fatal(err)
	}
	end()
	<-locked.Done() // who is told to stop stops
	again()
}
