// Package certs gives certificates to listeners, by name, and tells who wants
// to know when one has changed. It knows neither the listeners nor how a
// certificate is obtained from a CA: that is a source's. Its law: a certificate
// that works is never taken away for one that does not, and no stream ends
// because a certificate changes.
package certs

import (
	"cmp"
	"context"
	"crypto/tls"
	"slices"
	"time"
)

// Source has certificates and keeps them fresh.
type Source interface {
	// GetCertificate is tls.Config's. It never waits for a CA.
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// GetConfigForClient answers a CA's handshake (RFC 8737); every other one
	// gets nil, and so the listener's own configuration.
	GetConfigForClient(*tls.ClientHelloInfo) (*tls.Config, error)
	// Certificate is the one of that ID, nil while there is none.
	Certificate(id string) *tls.Certificate
	// Subscribe gives a channel that receives after each change; changes that
	// nobody has received are one. cancel ends it.
	Subscribe() (changed <-chan struct{}, cancel func())
	// Status tells of every certificate that there is or ought to be.
	Status() []Status
	// Run keeps the certificates fresh until ctx is done, which is no error.
	Run(ctx context.Context) error
}

// Status is what is known of one certificate.
type Status struct {
	ID        string    `json:"id"`
	Source    string    `json:"source"`
	Names     []string  `json:"names"`             // that it ought to have
	Foreign   []string  `json:"foreign,omitempty"` // names that clients ask for and that it is not for
	Issuer    string    `json:"issuer,omitempty"`
	NotBefore time.Time `json:"notBefore,omitzero"`
	NotAfter  time.Time `json:"notAfter,omitzero"` // zero: there is no certificate
	Renewal   time.Time `json:"renewal,omitzero"`  // when the next is obtained; zero: the source is not told
	Renewed   time.Time `json:"renewed,omitzero"`  // when the present one came; of one that was there before, since when it is valid
	Failures  int       `json:"failures"`          // of this process
	Error     string    `json:"error,omitempty"`   // of the last attempt, if that failed
	Retry     time.Time `json:"retry,omitzero"`    // when the next attempt is after that
}

// Ready says whether clients can be served at that time.
func (s Status) Ready(now time.Time) bool {
	return !s.NotAfter.IsZero() && now.Before(s.NotAfter)
}

// Shown is s, which somebody obtains, as far as clients see of it: by is of who
// serves it from its files, and may have refused them. Of two certificates it is
// the one that ends first.
func (s Status) Shown(by Status) Status {
	if by.NotAfter.Before(s.NotAfter) {
		s.Issuer, s.NotBefore, s.NotAfter, s.Renewed = by.Issuer, by.NotBefore, by.NotAfter, by.Renewed
	}
	s.Error = cmp.Or(s.Error, by.Error)
	s.Failures += by.Failures
	for _, name := range by.Foreign {
		if !slices.Contains(s.Foreign, name) {
			s.Foreign = append(slices.Clone(s.Foreign), name)
		}
	}
	return s
}

// Ready says whether a source has everything that it ought to have.
func Ready(s Source, now time.Time) bool {
	for _, st := range s.Status() {
		if !st.Ready(now) {
			return false
		}
	}
	return true
}

// Listen is base with src's certificates. What base decides by
// GetConfigForClient it still does, after a CA has been answered.
func Listen(base *tls.Config, src Source) *tls.Config {
	c := base.Clone()
	c.Certificates, c.GetCertificate = nil, src.GetCertificate
	own := base.GetConfigForClient
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if answer, err := src.GetConfigForClient(hello); answer != nil || err != nil {
			return answer, err
		}
		if own == nil {
			return nil, nil
		}
		return own(hello)
	}
	return c
}
