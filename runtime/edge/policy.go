package edge

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"kasgen/internal/edgeconf"
	"kasgen/runtime/certs"
	"kasgen/runtime/host"
)

// policy is what of a listener's TLS changes while it runs, apart from its
// certificate: the keys of session tickets, and who signs clients' certificates.
// Both are read again as certificates are; what does not work is reported and
// the old stays.
type policy struct {
	log     *slog.Logger
	read    func(path string) ([]byte, error)
	now     func() time.Time
	conf    edgeconf.TLS
	outer   *tls.Config // the listener's, which owns the tickets
	bare    *tls.Config // a copy from before there were any, whose handshakes get outer's
	tickets *tickets    // nil: each process has its own keys
	clients atomic.Pointer[tls.Config]
	ca      []byte
	said    string // the fault that was reported last
}

// newPolicy completes config, the listener's. Every file must work at first. It
// is nil where nothing changes.
func newPolicy(h *host.Host, conf edgeconf.TLS, config *tls.Config) (*policy, error) {
	if conf.SessionTickets == nil && conf.ClientCA == nil {
		return nil, nil
	}
	p := &policy{log: h.Log, read: h.ReadFile, now: time.Now, conf: conf, outer: config}
	if s := conf.SessionTickets; s != nil {
		p.tickets = &tickets{period: time.Duration(s.Rotate)}
	}
	if conf.ClientCA != nil {
		p.bare = config.Clone()
		p.bare.GetConfigForClient = nil
		p.guard(config)
	}
	return p, p.refresh()
}

// guard has the handshakes that nobody else answers ask for a certificate. A CA
// that validates a name has none, and is answered before.
func (p *policy) guard(config *tls.Config) {
	first := config.GetConfigForClient
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if first != nil {
			if c, err := first(hello); c != nil || err != nil {
				return c, err
			}
		}
		// Go takes the ticket keys from the listener's own configuration where
		// the one returned here has none, and checks a resumed session's
		// certificates against the CAs of now.
		return p.clients.Load(), nil
	}
}

// refresh reads the files and takes what has changed.
func (p *policy) refresh() error {
	var faults []error
	if t := p.tickets; t != nil {
		secret, err := p.read(p.conf.SessionTickets.KeyFile)
		if err == nil {
			err = t.take(bytes.TrimSpace(secret), p.now())
		}
		if err != nil {
			faults = append(faults, err)
		}
		if t.secret != nil { // the keys change with the time, too
			faults = append(faults, t.apply(p.outer, p.now()))
		}
	}
	if p.conf.ClientCA != nil {
		faults = append(faults, p.readCA())
	}
	return errors.Join(faults...)
}

func (p *policy) readCA() error {
	pem, err := p.read(p.conf.ClientCA.File)
	if err != nil || p.ca != nil && bytes.Equal(pem, p.ca) {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("clients' CA: no certificate in %s", p.conf.ClientCA.File)
	}
	c := p.bare.Clone()
	c.ClientCAs, c.ClientAuth = pool, tls.VerifyClientCertIfGiven
	if p.conf.ClientCA.Required {
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if p.ca != nil {
		p.log.Info("the CA of clients' certificates has changed", "file", p.conf.ClientCA.File)
	}
	p.ca = pem
	p.clients.Store(c)
	return nil
}

// run reads the files again every so often until ctx is done.
func (p *policy) run(ctx context.Context) error {
	tick := time.NewTicker(certs.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			p.report(p.refresh())
		}
	}
}

// report says once what is wrong, and stays with what there was.
func (p *policy) report(err error) {
	said := ""
	if err != nil {
		said = err.Error()
	}
	if said != "" && said != p.said {
		p.log.Error("a file of a listener's TLS does not work; what was read before stays", "error", err)
	}
	p.said = said
}
