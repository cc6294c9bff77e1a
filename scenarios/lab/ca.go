package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"kasgen/runtime/certs"
	"kasgen/runtime/certs/pebble"
	"kasgen/runtime/state"
)

// issued is how long the stand-in's certificates are valid: as those of the CA
// that most bundles name.
const issued = 90 * 24 * time.Hour

// startCA runs a CA under the name of the one that the bundle obtains its
// certificates from. It validates by real connections, to the fronts of this
// lab alone, and rejects nonces now and then, as RFC 8555 lets a CA.
func (l *Lab) startCA(ctx context.Context, _ Options) error {
	from, err := url.Parse(l.bundle.CA())
	if err != nil || from.Host == "" {
		return err // none is asked
	}
	cert := filepath.Join(l.dir, "ca", from.Hostname()+".crt")
	items := []state.Item{{Path: l.caFile, Kind: state.CA}, {Path: cert, Kind: state.Certificate, Names: []string{from.Hostname()}}}
	if _, err := state.Ensure(items); err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(cert, state.KeyPath(cert))
	if err != nil {
		return err
	}
	o := pebble.Options{Certificate: &pair, Directory: from.Path, Validity: issued}
	if o.TLSPort, err = portOf(l.server); err != nil {
		return err
	}
	if bind, ok := l.bundle.Cleartext(); ok {
		at, err := l.listener(bind)
		if err != nil {
			return err
		}
		if o.HTTPPort, err = portOf(at); err != nil {
			return err
		}
	}
	if id, file := l.bundle.ExternalAccount(); id != "" {
		key, err := os.ReadFile(l.redirect.File(file))
		if err != nil {
			return err
		}
		o.ExternalAccounts = map[string]string{id: string(key)}
	}
	if l.ca, err = pebble.Start(ctx, o); err != nil {
		return fmt.Errorf("stand-in CA: %w", err)
	}
	l.closers = append(l.closers, l.ca.Close)
	l.redirect.Name(hostport(from, "443"), l.ca.Address())
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.ca.Root().Raw})
	l.trusted = root
	for _, n := range l.names {
		if n.Front != nil {
			l.trusted = append(l.trusted, l.caPEM...) // whose balancer has a certificate of its own
		}
	}
	return nil
}

func portOf(address string) (int, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}

// macKey makes the key of an external account where the bundle has it.
func (l *Lab) macKey() error {
	id, file := l.bundle.ExternalAccount()
	if id == "" {
		return nil
	}
	path := filepath.Join(l.dir, "ca", "external")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	l.redirect.Path(file, path)
	return os.WriteFile(path, []byte(base64.RawURLEncoding.EncodeToString([]byte(token()+token()))), 0o600)
}

// awaitCertificates returns when the front of every name shows a certificate of
// the CA.
func (l *Lab) awaitCertificates(ctx context.Context) error {
	if l.ca == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, obtaining)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for _, n := range l.names {
		if n.Front != nil {
			continue
		}
		for {
			_, err := l.shown(ctx, n)
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s has no certificate of the stand-in CA after %s: %w%s", n.Name, obtaining, err, because(l.running.Certificates()))
			case <-tick.C:
			}
		}
	}
	return nil
}

// obtaining is how long a certificate may take: Pebble waits up to five seconds
// before each validation, and a failed order is tried again after a minute.
const obtaining = 3 * time.Minute

func because(all []certs.Status) string {
	text := ""
	for _, s := range all {
		if s.Error != "" {
			text += "; " + s.Error
		}
	}
	return text
}

// shown is the certificate that a client gets who trusts nobody but the CA.
func (l *Lab) shown(ctx context.Context, n name) (*x509.Certificate, error) {
	raw, err := l.dial(ctx, "tcp", n.hostport())
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	c := tls.Client(raw, &tls.Config{RootCAs: l.ca.Roots(), ServerName: n.Name, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12})
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return c.ConnectionState().PeerCertificates[0], nil
}

// Shown are the certificates that clients of each name get who trust nobody but
// the CA that certificates are obtained from.
func (l *Lab) Shown(ctx context.Context) (map[string]*x509.Certificate, error) {
	shown := map[string]*x509.Certificate{}
	for _, n := range l.names {
		c, err := l.shown(ctx, n)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.Name, err)
		}
		shown[n.Name] = c
	}
	return shown, nil
}

// Certificates tells of what the bundle obtains from the CA.
func (l *Lab) Certificates() []certs.Status { return l.running.Certificates() }

// Orders is how many certificates the stand-in CA was asked for.
func (l *Lab) Orders() int { return l.ca.Orders() }

// Renew obtains every certificate anew. The fronts have it soon after.
func (l *Lab) Renew(ctx context.Context) error { return l.running.Renew(ctx) }
