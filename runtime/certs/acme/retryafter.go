package acme

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	xacme "golang.org/x/crypto/acme"
)

// retryAfter reads the header of that name, seconds or a date.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	v := h.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil && n >= 0 {
		return time.Duration(min(n, int(longestAsked/time.Second))) * time.Second, true
	}
	if t, err := http.ParseTime(v); err == nil {
		return min(max(t.Sub(now), 0), longestAsked), true
	}
	return 0, false
}

// asked is how long the CA wants to be left alone after err.
func asked(err error, now time.Time) (time.Duration, bool) {
	problem, ok := errors.AsType[*xacme.Error](err)
	if !ok {
		return 0, false
	}
	return retryAfter(problem.Header, now)
}

// patience is acme.Client's RetryBackoff: 0 ends the retries. What a CA wants
// to have a pause from is for the schedule, which remembers it for every
// replica, and not for a goroutine that waits with a lock in its hand.
func patience(n int, _ *http.Request, resp *http.Response) time.Duration {
	switch {
	case resp.StatusCode == http.StatusBadRequest && n <= 10:
		return time.Millisecond // a nonce was rejected, and a new one is there
	case resp.StatusCode == http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "" || n > 2:
		return 0
	default:
		return time.Duration(n) * 500 * time.Millisecond // so that a hiccup does not cost an order
	}
}
