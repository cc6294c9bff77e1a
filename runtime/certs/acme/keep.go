package acme

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/acme/autocert"

	"kasgen/runtime/certs"
)

// keep looks at the clock and at the cache every so often rather than sleeping
// until a moment: a clock that is set, a machine that was asleep, and what
// another replica has obtained are then all the same case.
func (s *Source) keep(ctx context.Context, c *certificate) {
	tick := time.NewTicker(s.o.Check)
	defer tick.Stop()
	for {
		s.look(ctx, c)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Source) look(ctx context.Context, c *certificate) {
	c.moving.Lock()
	err := s.load(ctx, c)
	c.moving.Unlock()
	if err != nil && !errors.Is(err, autocert.ErrCacheMiss) {
		_ = s.unshared(ctx, c, fmt.Errorf("reading the cache: %w", err)) // it has said what there is to say
		return
	}
	c.back()
	if held := s.Certificate(c.id); held != nil {
		c.mu.Lock()
		last := c.ari
		c.mu.Unlock()
		if last.certID != certID(held.Leaf) || !last.next.After(s.o.Now()) {
			last = s.suggestion(ctx, c, held.Leaf, last)
		}
		told, err := s.suggested(ctx, held.Leaf, last)
		if err != nil && ctx.Err() == nil {
			s.o.Log.Warn("the CA gives no renewal information; its own schedule serves", "certificate", c.id, "error", err)
		}
		if told.valid() && (told.Start != last.Start || told.End != last.End) {
			s.o.Log.Info("the CA suggests when to renew", "certificate", c.id, "from", told.Start, "to", told.End, "why", told.Why)
		}
		if told != last {
			s.keepSuggestion(ctx, c, told)
		}
		c.mu.Lock()
		c.ari = told
		c.mu.Unlock()
		if s.o.Now().Before(renewal(held.Leaf, told)) {
			return
		}
	}
	_ = s.obtain(ctx, c, false) // it has said what there is to say
}

// load takes the certificate from the cache, if it is another than the one in
// use and not older. Its caller has locked c.moving.
func (s *Source) load(ctx context.Context, c *certificate) error {
	data, err := s.o.Cache.Get(ctx, s.certKey(c))
	held := s.Certificate(c.id)
	c.mu.Lock()
	seen, failing := c.seen, c.failing
	c.mu.Unlock()
	if err == nil && len(data) > 0 && string(data) == seen {
		return nil
	}
	if err != nil && !errors.Is(err, autocert.ErrCacheMiss) {
		return err
	}
	var cert *tls.Certificate
	if err == nil {
		if cert, err = certs.Parse(data, data); err == nil {
			err = has(cert.Leaf, c.names)
		}
	}
	if err != nil && held == nil {
		entry := err.Error() + string(data) // of a sealed one there is no data
		if (!errors.Is(err, autocert.ErrCacheMiss) || errors.Is(err, errCutShort)) && entry != failing {
			c.mu.Lock()
			c.failing = entry
			c.mu.Unlock()
			s.fault(c, fmt.Errorf("the certificate in the cache does not work, a new one is obtained: %w", err), time.Time{})
		}
		return autocert.ErrCacheMiss
	}
	if err != nil || held != nil && cert.Leaf.NotBefore.Before(held.Leaf.NotBefore) {
		return s.save(ctx, c, held) // what was lost there is here
	}
	renewed := s.o.Now()
	if held == nil {
		renewed = cert.Leaf.NotBefore // nobody here saw it come
	}
	s.use(c, cert, string(data), renewed)
	return nil
}

func (s *Source) use(c *certificate, cert *tls.Certificate, entry string, renewed time.Time) {
	if s.Put(c.id, cert) {
		s.o.Log.Info("a certificate is in use", "certificate", c.id, "names", c.names, "issuer", cert.Leaf.Issuer.CommonName, "expires", cert.Leaf.NotAfter)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen, c.failing = entry, ""
	c.status.Renewed, c.status.Error, c.status.Retry = renewed, "", time.Time{}
}

func (s *Source) save(ctx context.Context, c *certificate, cert *tls.Certificate) error {
	crt, key, err := certs.Encode(cert)
	if err != nil {
		return err
	}
	entry := append(crt, key...)
	if err := s.o.Cache.Put(ctx, s.certKey(c), entry); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = string(entry)
	return nil
}

// obtain places an order, unless another replica has been quicker or the time
// has not come. With force only the CA's own word keeps it from it.
func (s *Source) obtain(ctx context.Context, c *certificate, force bool) error {
	// A certificate that is used and not yet in the cache must not be taken
	// for one that the cache has replaced.
	c.moving.Lock()
	defer c.moving.Unlock()
	if force {
		// What is in the cache by now is to be replaced too.
		if err := s.load(ctx, c); err != nil && !errors.Is(err, autocert.ErrCacheMiss) {
			return s.unshared(ctx, c, fmt.Errorf("reading the cache: %w", err))
		}
	}
	before := s.Certificate(c.id)
	locked, unlock, err := s.o.Cache.Lock(ctx, s.certKey(c))
	if err != nil {
		return s.unshared(ctx, c, fmt.Errorf("the certificate's lock: %w", err))
	}
	defer unlock()
	if err := s.load(ctx, c); err != nil && !errors.Is(err, autocert.ErrCacheMiss) {
		return s.unshared(ctx, c, fmt.Errorf("reading the cache: %w", err))
	}
	held := s.Certificate(c.id)
	if held != before {
		return nil
	}
	s.sweep(locked, c)
	last := s.record(ctx, c)
	if until := last.wait(s.o.Now(), held, force); !until.IsZero() {
		c.mu.Lock()
		c.status.Error, c.status.Retry = last.Error, until
		c.mu.Unlock()
		if force {
			return fmt.Errorf("the CA asked not to be asked before %s: %s", until.UTC().Format(time.RFC3339), last.Error)
		}
		return nil
	}
	order, cancel := context.WithTimeout(locked, orderDeadline)
	defer cancel()
	cert, err := s.issue(order, c.names, leaf(held))
	if err != nil && (errors.Is(err, ErrLockLost) || errors.Is(context.Cause(locked), ErrLockLost)) {
		// Somebody else may order by now, and what they remember of the CA is
		// theirs.
		return s.unshared(ctx, c, fmt.Errorf("ordering was broken off: %w", ErrLockLost))
	}
	if err != nil {
		return s.failed(ctx, c, err, last)
	}
	s.use(c, cert, "", s.o.Now())
	// It serves even if it cannot be kept; load will try again.
	if err := s.save(ctx, c, cert); err != nil {
		s.fault(c, fmt.Errorf("keeping the new certificate: %w", err), time.Time{})
	}
	s.putRecord(ctx, c, record{Issued: s.o.Now()})
	return nil
}

// failed remembers, for every replica and the next start, when to try again.
func (s *Source) failed(ctx context.Context, c *certificate, err error, last record) error {
	if ctx.Err() != nil {
		return ctx.Err() // we are told to stop, which is nobody's fault
	}
	now := s.o.Now()
	next := record{Issued: last.Issued, Failures: last.Failures + 1, Error: err.Error()}
	wait := again(s.o.Retry, next.Failures)
	if told, ok := asked(err, now); ok && told > 0 {
		wait, next.Asked = max(wait, told), true
	}
	next.Until = now.Add(wait)
	s.putRecord(ctx, c, next)
	s.fault(c, err, next.Until)
	return err
}

// unshared is a failure to get at what replicas share. That is written nowhere,
// least of all over what the others remember of the CA; the next look at the
// cache is the next attempt.
func (s *Source) unshared(ctx context.Context, c *certificate, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.fault(c, err, s.o.Now().Add(s.o.Check))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = true
	return err
}

// back takes back what unshared has said.
func (c *certificate) back() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		c.away, c.status.Error, c.status.Retry = false, "", time.Time{}
	}
}

func (s *Source) fault(c *certificate, err error, retry time.Time) {
	c.mu.Lock()
	c.status.Failures++
	c.status.Error, c.status.Retry = err.Error(), retry
	c.mu.Unlock()
	s.o.Log.Error("a certificate is not obtained", "certificate", c.id, "serving", s.Certificate(c.id) != nil, "retry", retry, "error", err)
}

func (s *Source) certKey(c *certificate) string { return s.prefix + c.id }

func (s *Source) record(ctx context.Context, c *certificate) record {
	var r record
	data, err := s.o.Cache.Get(ctx, s.certKey(c)+"+state")
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		return record{} // none, or half written: as if nothing had happened
	}
	return r
}

func (s *Source) putRecord(ctx context.Context, c *certificate, r record) {
	data, err := json.Marshal(r)
	if err == nil {
		err = s.o.Cache.Put(ctx, s.certKey(c)+"+state", data)
	}
	if err != nil && ctx.Err() == nil {
		s.o.Log.Warn("the state of a certificate is not kept", "certificate", c.id, "error", err)
	}
}
