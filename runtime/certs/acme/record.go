package acme

import (
	"crypto/tls"
	"crypto/x509"
	"time"
)

// record is what replicas remember of the last attempt.
type record struct {
	Issued   time.Time `json:"issued,omitzero"`
	Failures int       `json:"failures,omitempty"` // in a row
	Until    time.Time `json:"until,omitzero"`     // no attempt before
	Asked    bool      `json:"asked,omitempty"`    // by the CA
	Error    string    `json:"error,omitempty"`
}

// slack is how far the clocks of replicas may be apart. The longest waits that
// there are are ordinary ones, and to a replica whose clock is behind they are
// longer still.
const slack = 5 * time.Minute

// until is when the wait ends; zero: a clock has jumped meanwhile, for it is
// longer than any that is ever kept.
func (r record) until(now time.Time) time.Time {
	longest := lastRetry
	if r.Asked {
		longest = longestAsked
	}
	if r.Until.Sub(now) > longest+slack {
		return time.Time{}
	}
	return r.Until
}

// wait is until when no attempt is to be made; zero: there may be one now.
func (r record) wait(now time.Time, held *tls.Certificate, force bool) time.Time {
	if until := r.until(now); until.After(now) && (r.Asked || !force) {
		return until
	}
	if held == nil || force {
		return time.Time{}
	}
	// A certificate that is due as soon as it is there means that a clock is
	// wrong, ours or the CA's. Ordering on would reach the CA's limits.
	life := held.Leaf.NotAfter.Sub(held.Leaf.NotBefore)
	if pause := r.Issued.Add(min(time.Hour, life/4)); !now.Before(r.Issued) && now.Before(pause) {
		return pause
	}
	return time.Time{}
}

func leaf(c *tls.Certificate) *x509.Certificate {
	if c == nil {
		return nil
	}
	return c.Leaf
}
