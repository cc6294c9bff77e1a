package directive

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// units of nginx's times, from long to short: a time names each at most once,
// in this order.
var units = [...]struct {
	name string
	d    time.Duration
}{
	{"y", 365 * 24 * time.Hour}, {"M", 30 * 24 * time.Hour}, {"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour},
	{"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond},
}

var errDuration = errors.New("want a number of seconds, or numbers with y, M, w, d, h, m, s, ms from long to short")

// ParseDuration reads nginx's times: "90" and "1m 30s" and "1m30s" are the
// same.
func ParseDuration(text string) (time.Duration, error) {
	if text == "" {
		return 0, errDuration
	}
	var total time.Duration
	next := 0
	for rest := text; rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil {
			return 0, errDuration
		}
		rest = rest[digits:]
		end := strings.IndexAny(rest, " 0123456789")
		if end < 0 {
			end = len(rest)
		}
		name := rest[:end]
		rest = strings.TrimLeft(rest[end:], " ")
		if name == "" { // a bare number is seconds, and comes last
			if rest != "" {
				return 0, errDuration
			}
			name = "s"
		}
		for next < len(units) && units[next].name != name {
			next++
		}
		if next == len(units) {
			return 0, errDuration
		}
		unit := units[next].d
		next++
		if n > (math.MaxInt64-int64(total))/int64(unit) {
			return 0, errors.New("too long")
		}
		total += time.Duration(n) * unit
	}
	return total, nil
}
