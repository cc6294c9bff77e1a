package acme

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"math"
	"time"
)

// Waits after failures. They begin with Options.Retry; a CA may ask for longer,
// which is kept up to a week, the longest window of a rate limit that a CA
// announces. A longer one is a mistake of a clock.
const (
	lastRetry     = time.Hour
	longestAsked  = 7 * 24 * time.Hour
	orderDeadline = 5 * time.Minute
)

// renewal is when a certificate is to be renewed: where the CA suggests a
// window, at a place in it, else after about two thirds of its life. The place
// is drawn from the certificate itself: uniform over all certificates, as RFC
// 9773 asks, and yet the same for every replica and after every start.
func renewal(leaf *x509.Certificate, ari renewalInfo) time.Time {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	sum := sha256.Sum256(leaf.Raw)
	at := float64(binary.BigEndian.Uint64(sum[:])) / math.MaxUint64
	within := func(start, end time.Time) time.Time {
		return start.Add(time.Duration(at * float64(end.Sub(start))))
	}
	own := within(leaf.NotAfter.Add(-life/3), leaf.NotAfter.Add(-life/3+life/20))
	if !ari.valid() {
		return own
	}
	// A window that ends after the certificate does would leave nothing to
	// serve: a CA that is so mistaken is not followed to the end.
	suggested, last := within(ari.Start, ari.End), leaf.NotAfter.Add(-life/20)
	if suggested.After(last) {
		return last
	}
	return suggested
}

// again is how long to wait after the nth failure in a row. The first one is
// often that of a start: a balancer that found the edge down a moment ago, a
// name that is not known everywhere yet. So it is followed at once, once: CAs
// count failures by the hour.
func again(first time.Duration, n int) time.Duration {
	if n <= 1 {
		return first / 10
	}
	wait := first
	for range n - 2 {
		if wait *= 2; wait >= lastRetry {
			return lastRetry
		}
	}
	return min(wait, lastRetry)
}
