package directive

import (
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]time.Duration{
		"0": 0, "5": 5 * time.Second, "5ms": 5 * time.Millisecond, "1h30m": 90 * time.Minute, "1m 30s": 90 * time.Second,
		"1m30": 90 * time.Second, "1d": 24 * time.Hour, "1M": 30 * 24 * time.Hour, "1y": 365 * 24 * time.Hour, "2w": 14 * 24 * time.Hour,
	} {
		if got, err := ParseDuration(in); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "s", "1x", "-1", "1.5s", "30s 1m", "5 5", "1s1s", "99999999999999999999", "9999999999999y"} {
		if got, err := ParseDuration(in); err == nil {
			t.Errorf("%q is %v, want an error", in, got)
		}
	}
}
