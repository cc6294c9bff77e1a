package probe

import (
	"context"
	"fmt"
	"regexp"
	"testing"
	"testing/synctest"
	"time"
)

var livedMore = regexp.MustCompile(`is cut after (\S+) of silence \(and more than ([^)]+)\), without a word`)

// brackets holds a measured limit to what docs/probe.md promises: silence that
// was survived, silence that was not, the limit between them, and the two no
// further apart than a twentieth of the limit or a second.
func brackets(t *testing.T, what string, c Check, limit time.Duration) {
	t.Helper()
	m := livedMore.FindStringSubmatch(c.Observed)
	if m == nil {
		t.Errorf("%s: no limits in %q", what, c.Observed)
		return
	}
	bad, err := time.ParseDuration(m[1])
	if err != nil {
		t.Fatal(err)
	}
	good, err := time.ParseDuration(m[2])
	if err != nil {
		t.Fatal(err)
	}
	if good >= limit || limit > bad || bad-good > max(time.Second, bad/coarse) || c.limit != bad {
		t.Errorf("%s: more than %v, and cut after %v (%v), of a limit of %v", what, good, bad, c.limit, limit)
	}
}

// TestBisection finds limits of any length that nobody is told of, in a time
// that costs nothing.
func TestBisection(t *testing.T) {
	t.Parallel()
	for _, limit := range []time.Duration{10 * time.Millisecond, 1500 * time.Millisecond, 10 * time.Second, 59 * time.Second, 350 * time.Second, 590 * time.Second} {
		for _, whole := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				i := idleCheck{what: "a stream", whole: whole, open: func(context.Context, time.Duration) (*silent, error) {
					began := time.Now()
					return &silent{end: func() {}, say: func() error {
						if time.Since(began) >= limit {
							return errNoAnswer
						}
						return nil
					}}, nil
				}}
				brackets(t, fmt.Sprintf("whole seconds %v", whole), i.run(t.Context(), 10*time.Minute), limit)
			})
		}
	}
}
