package haproxy

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// maxTimer is HAProxy's TIMER_LOOK_BACK: 2^31 milliseconds, about 24 days.
const maxTimer = math.MaxInt32 * time.Millisecond

func parseDuration(s string) (time.Duration, error) {
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	units := map[string]time.Duration{
		"": time.Millisecond, "us": time.Microsecond, "ms": time.Millisecond, "s": time.Second,
		"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
	}
	unit, ok := units[s[digits:]]
	if digits == 0 || !ok {
		return 0, errors.New("want a number and us, ms, s, m, h or d; without a unit it is milliseconds")
	}
	n, err := strconv.ParseInt(s[:digits], 10, 64)
	if err != nil || n > int64(maxTimer/unit) {
		return 0, errors.New("longer than HAProxy's limit of 24 days")
	}
	d := time.Duration(n) * unit
	if d > 0 && d < time.Millisecond {
		d = time.Millisecond // HAProxy's clock has no finer step
	}
	return d, nil
}
