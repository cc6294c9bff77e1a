package cache

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errDenied = errors.New("denied")
	errPassed = errors.New("passed")
)

func denied(err error) bool { return errors.Is(err, errDenied) }

// TestKeys: no two lists of parts have the same key.
func TestKeys(t *testing.T) {
	t.Parallel()
	seen := map[Key][]string{}
	for _, parts := range [][]string{
		nil, {""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"}, {"a", "b"}, {"ab"}, {"b", "a"}, {"a\x01", "b"}, {strings.Repeat("a", 256)},
		{"token-first-half", "x"}, {"token-first-half-of-two"}, {"token-first-half-of-tww"},
	} {
		key := KeyOf(parts...)
		if other, twice := seen[key]; twice {
			t.Errorf("%q and %q have the same key", parts, other)
		}
		if key != KeyOf(parts...) {
			t.Errorf("%q has two keys", parts)
		}
		seen[key] = parts
	}
}

// TestLifetimes: good answers and bad ones live as long as they are told to,
// and failures to answer not at all.
func TestLifetimes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ttl, errorTTL time.Duration
		err           error
		lives         time.Duration // 0: not remembered
	}{
		"good":              {time.Minute, time.Second, nil, time.Minute},
		"denied":            {time.Minute, time.Second, errDenied, time.Second},
		"failed":            {time.Minute, time.Second, errPassed, 0},
		"good, kept never":  {0, time.Second, nil, 0},
		"denied, longer":    {time.Second, time.Minute, errDenied, time.Minute},
		"denied, kept none": {time.Second, 0, errDenied, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := New[int](tt.ttl, tt.errorTTL, denied)
				asked := 0
				get := func() {
					t.Helper()
					v, err := c.Get(t.Context(), KeyOf("k"), func(context.Context) (int, error) {
						asked++
						return 7, tt.err
					})
					if !errors.Is(err, tt.err) || v != 7 {
						t.Errorf("%d, %v", v, err)
					}
				}
				get()
				want := 1
				if tt.lives == 0 {
					want = 2
				}
				if get(); asked != want {
					t.Errorf("at once: asked %d times, want %d", asked, want)
				}
				if tt.lives == 0 {
					return
				}
				time.Sleep(tt.lives - time.Nanosecond)
				if get(); asked != 1 {
					t.Errorf("just before the end: asked %d times", asked)
				}
				time.Sleep(time.Nanosecond)
				if get(); asked != 2 {
					t.Errorf("at the end: asked %d times", asked)
				}
			})
		})
	}
}

// TestOneQuestion: many who ask the same at the same time ask once; one who
// goes away takes nobody with him, and other keys do not wait.
func TestOneQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New[string](time.Minute, time.Minute, denied)
		var asked atomic.Int32
		answer := make(chan struct{})
		load := func(ctx context.Context) (string, error) {
			asked.Add(1)
			<-answer
			return "yes", ctx.Err()
		}
		gone, leave := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		callers.Go(func() {
			if v, err := c.Get(gone, KeyOf("k"), load); !errors.Is(err, context.Canceled) || v != "" {
				t.Errorf("who went away got %q, %v", v, err)
			}
		})
		synctest.Wait() // he is the one who asks
		for range 10 {
			callers.Go(func() {
				if v, err := c.Get(t.Context(), KeyOf("k"), load); err != nil || v != "yes" {
					t.Errorf("got %q, %v", v, err)
				}
			})
		}
		synctest.Wait()
		leave()
		synctest.Wait()
		if v, err := c.Get(t.Context(), KeyOf("other"), func(context.Context) (string, error) { return "no", nil }); err != nil || v != "no" {
			t.Errorf("another key: %q, %v", v, err)
		}
		close(answer)
		callers.Wait()
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// TestSweep: what has ended does not stay in memory.
func TestSweep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New[int](time.Minute, time.Second, denied)
		put := func(key string, err error) {
			_, _ = c.Get(t.Context(), KeyOf(key), func(context.Context) (int, error) { return 1, err })
		}
		for i := range 100 {
			put(strings.Repeat("x", i), errDenied)
		}
		put("lasting", nil)
		time.Sleep(30 * time.Second)
		put("young", nil)
		time.Sleep(31 * time.Second)
		put("last", nil)
		c.mu.Lock()
		defer c.mu.Unlock()
		if n := len(c.entries); n != 2 {
			t.Errorf("%d entries, want the 2 that live", n)
		}
	})
}

// BenchmarkHit is on the way of each request.
func BenchmarkHit(b *testing.B) {
	c := New[int](time.Hour, time.Second, denied)
	load := func(context.Context) (int, error) { return 1, nil }
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Get(b.Context(), KeyOf("a token of the usual length, 20 to 60"), load); err != nil {
			b.Fatal(err)
		}
	}
}
