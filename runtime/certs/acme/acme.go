// Package acme obtains certificates from a CA that speaks ACME (RFC 8555) and
// renews them. It knows no listener: it is asked for certificates and for
// answers to challenges, whoever asks. Its law: a handshake never waits for the
// CA, one certificate is one order however many replicas want it, and the CA's
// word on when to come back is kept.
//
// It is built on golang.org/x/crypto/acme and, of autocert beside it, on the
// cache. autocert's Manager orders inside a handshake and lets that wait for
// minutes, knows no lock between replicas and no renewal information (RFC 9773),
// waits out a Retry-After on the spot and remembers it for nobody, keeps one
// key for ever, puts one name into a certificate, does not get over a revoked
// account, and cannot be told to renew or to stop: none of it can be added from
// outside.
package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme/autocert"
	"golang.org/x/sync/errgroup"

	"kasgen/runtime/certs"
)

// Challenge is a way to prove that a name is ours.
type Challenge string

// The challenges that are answered.
const (
	TLSALPN01 Challenge = "tls-alpn-01" // RFC 8737, on the TLS listener
	HTTP01    Challenge = "http-01"     // RFC 8555, on port 80
)

// KeyType is the kind of a certificate's key.
type KeyType string

// The kinds of keys.
const (
	ECDSA256 KeyType = "ecdsa256"
	ECDSA384 KeyType = "ecdsa384"
	RSA2048  KeyType = "rsa2048"
	RSA4096  KeyType = "rsa4096"
)

// ExternalAccount binds the ACME account to one that the CA knows already.
type ExternalAccount struct {
	KeyID string
	Key   []byte // the MAC key itself
}

// Options are what to obtain, from whom and how.
type Options struct {
	Log       *slog.Logger
	Directory string   // URL of the CA
	Contact   []string // e-mail addresses for the CA
	External  *ExternalAccount
	KeyType   KeyType // empty: ECDSA256, which every client since TLS 1.2 knows
	// Certificates are the names of each certificate; its first is its ID. No
	// other name is ever asked for.
	Certificates [][]string
	Challenges   []Challenge // in the order in which they are tried
	// Webroot is a directory whose .well-known/acme-challenge another server
	// answers on port 80; empty if HTTPHandler does.
	Webroot string
	Cache   Cache
	Client  *http.Client // nil: the system's roots and a minute's time

	Now   func() time.Time // nil: time.Now
	Check time.Duration    // how often the clock and the cache are looked at; 0: a minute
	Retry time.Duration    // the wait after a second failure in a row, the first gets a tenth; 0: a minute
}

// Source is certificates of a CA.
type Source struct {
	certs.Set
	o      Options
	prefix string // of this CA's keys in the cache
	certs  []*certificate

	account account
	answers answers
}

// certificate is one that ought to be there.
type certificate struct {
	id    string
	names []string

	moving sync.Mutex // while cache and use are made one

	mu      sync.Mutex // of what follows
	seen    string     // cache entry that was read last
	failing string     // cache entry that does not work and was reported, and why
	away    bool       // status tells of a cache that could not be reached
	status  certs.Status
	ari     renewalInfo
}

// New reads what the cache has, so that it serves at once, and asks the CA
// nothing. A cache that does not answer is no reason not to start.
func New(ctx context.Context, o Options) (*Source, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	s := &Source{o: o, prefix: prefix(o.Directory)}
	for _, names := range o.Certificates {
		c := &certificate{id: names[0], names: names,
			status: certs.Status{ID: names[0], Source: "acme", Names: names}}
		s.certs = append(s.certs, c)
		if err := s.load(ctx, c); err != nil && !errors.Is(err, autocert.ErrCacheMiss) {
			_ = s.unshared(ctx, c, fmt.Errorf("reading the cache: %w", err)) // it has said what there is to say
			continue
		}
		s.recall(ctx, c)
	}
	return s, nil
}

// Run obtains and renews until ctx is done.
func (s *Source) Run(ctx context.Context) error {
	var g errgroup.Group
	for _, c := range s.certs {
		g.Go(func() error { s.keep(ctx, c); return nil })
	}
	return g.Wait()
}

// Renew obtains every certificate anew, now, whatever its age. What a replica
// has obtained since Renew was called counts.
func (s *Source) Renew(ctx context.Context) error {
	var faults []error
	for _, c := range s.certs {
		if err := s.obtain(ctx, c, true); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", c.id, err))
		}
	}
	return errors.Join(faults...)
}

// Issue obtains what is missing or due, now, and leaves the rest.
func (s *Source) Issue(ctx context.Context) error {
	var faults []error
	for _, c := range s.certs {
		c.moving.Lock()
		err := s.load(ctx, c)
		c.moving.Unlock()
		if err != nil && !errors.Is(err, autocert.ErrCacheMiss) {
			faults = append(faults, fmt.Errorf("%s: reading the cache: %w", c.id, err))
			continue
		}
		if s.due(c) {
			err = s.obtain(ctx, c, false)
			if err == nil && s.due(c) { // it is not the time yet
				c.mu.Lock()
				err = fmt.Errorf("not tried again before %s: %s", c.status.Retry.UTC().Format(time.RFC3339), c.status.Error)
				c.mu.Unlock()
			}
			if err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", c.id, err))
			}
		}
	}
	return errors.Join(faults...)
}

// due says whether there is no certificate, or one whose time to be renewed has
// come.
func (s *Source) due(c *certificate) bool {
	held := s.Certificate(c.id)
	c.mu.Lock()
	defer c.mu.Unlock()
	return held == nil || !s.o.Now().Before(renewal(held.Leaf, c.ari))
}

// Status is certs.Source's.
func (s *Source) Status() []certs.Status {
	all := make([]certs.Status, len(s.certs))
	for i, c := range s.certs {
		c.mu.Lock()
		all[i] = c.status
		if held := s.Certificate(c.id); held != nil {
			all[i].Describe(held.Leaf)
			all[i].Renewal = renewal(held.Leaf, c.ari)
		}
		c.mu.Unlock()
	}
	return all
}

// GetConfigForClient answers a CA that validates (RFC 8737, section 3).
func (s *Source) GetConfigForClient(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	return s.answers.handshake(s, hello)
}

func (o *Options) complete() error {
	if o.KeyType == "" {
		o.KeyType = ECDSA256
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: time.Minute}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Check == 0 {
		o.Check = time.Minute
	}
	if o.Retry == 0 {
		o.Retry = time.Minute
	}
	if u, err := url.Parse(o.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("acme: the directory %q is not an https URL", o.Directory)
	}
	switch o.KeyType {
	case ECDSA256, ECDSA384, RSA2048, RSA4096:
	default:
		return fmt.Errorf("acme: unknown key type %q", o.KeyType)
	}
	if o.Cache == nil {
		return errors.New("acme: without a cache every start would order anew, which CAs limit")
	}
	if len(o.Challenges) == 0 || len(o.Certificates) == 0 {
		return errors.New("acme: no challenge, or no certificate, to go about")
	}
	for _, c := range o.Challenges {
		if c != TLSALPN01 && c != HTTP01 {
			return fmt.Errorf("acme: unknown challenge %q", c)
		}
	}
	return o.checkNames()
}

func (o *Options) checkNames() error {
	name := regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$`)
	var ids []string
	certificates := make([][]string, len(o.Certificates))
	for i, names := range o.Certificates {
		if len(names) == 0 {
			return errors.New("acme: a certificate without a name")
		}
		for _, n := range names {
			n = strings.ToLower(n)
			if len(n) > 253 || !name.MatchString(n) {
				return fmt.Errorf("acme: %q is not a host name with a dot; wildcards would need dns-01", n)
			}
			certificates[i] = append(certificates[i], n)
		}
		if slices.Contains(ids, certificates[i][0]) {
			return fmt.Errorf("acme: two certificates begin with %s", certificates[i][0])
		}
		ids = append(ids, certificates[i][0])
	}
	o.Certificates = certificates
	return nil
}
