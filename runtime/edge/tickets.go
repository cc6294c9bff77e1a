package edge

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// leastSecret is what a secret for tickets must have: a guess of it would be a
// guess of every TLS 1.2 session that was resumed.
const leastSecret = 32

// tickets derives the keys of session tickets from a secret and the time. All
// processes with the same secret come to the same keys, and change them at the
// same moment, without a word between them.
type tickets struct {
	period        time.Duration
	secret        []byte
	before        []byte // the secret that was replaced
	replacedIn    int64  // the period in which that happened
	applied       int64
	appliedSecret string
}

// take makes secret the one that keys come from. What has been encrypted under
// the one before is understood for a period more.
func (t *tickets) take(secret []byte, now time.Time) error {
	if len(secret) < leastSecret {
		return fmt.Errorf("session tickets: the key file holds %d bytes, and %d random ones are needed", len(secret), leastSecret)
	}
	if string(secret) == string(t.secret) {
		return nil
	}
	t.before, t.secret, t.replacedIn = t.secret, secret, t.index(now)
	return nil
}

func (t *tickets) index(now time.Time) int64 { return now.UnixNano() / int64(t.period) }

// keys are those of that moment: the first encrypts, all decrypt. The next one
// is among them, for a process whose clock is ahead encrypts with it already.
func (t *tickets) keys(now time.Time) ([][32]byte, error) {
	n := t.index(now)
	var keys [][32]byte
	var faults []error
	add := func(secret []byte, periods ...int64) {
		for _, p := range periods {
			key, err := hkdf.Key(sha256.New, secret, nil, "kasgen session tickets v1 "+strconv.FormatInt(int64(t.period), 10)+" "+strconv.FormatInt(p, 10), 32)
			if err != nil {
				faults = append(faults, err)
				continue
			}
			keys = append(keys, [32]byte(key))
		}
	}
	add(t.secret, n, n-1, n+1)
	if t.before != nil && n-t.replacedIn <= 1 {
		add(t.before, n, n-1, n+1)
	}
	return keys, errors.Join(faults...)
}

// apply gives c the keys of that moment, if they are not the ones it has.
func (t *tickets) apply(c *tls.Config, now time.Time) error {
	n := t.index(now)
	if n == t.applied && string(t.secret) == t.appliedSecret {
		return nil
	}
	keys, err := t.keys(now)
	if err != nil {
		return err
	}
	c.SetSessionTicketKeys(keys)
	t.applied, t.appliedSecret = n, string(t.secret)
	return nil
}
