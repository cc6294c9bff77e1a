package balancer

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
)

// SystemRoots, as ClientTLS.CAFile, is the machine's own trust.
const SystemRoots = "@system-ca"

// ServerTLS ends TLS on a bind.
type ServerTLS struct {
	// Certificates are tried in order against the client's server name;
	// the first serves everyone else.
	Certificates []Certificate
	// ALPN is in the server's order of preference.
	ALPN []string
	// RequireALPN refuses a client whose protocols are all unknown, as
	// nginx does. HAProxy goes on without a protocol.
	RequireALPN bool
	// Min and Max are versions of crypto/tls; 0 is its default.
	Min, Max uint16
}

// Certificate names the files of a certificate. An empty Key means that the
// certificate's file holds the key too, in any order, as HAProxy has it.
type Certificate struct{ Cert, Key string }

// ClientTLS is TLS towards a peer.
type ClientTLS struct {
	Verify     bool
	CAFile     string // with Verify; SystemRoots is the machine's own trust
	ServerName string
	ALPN       []string
}

type readFile func(path string) ([]byte, error)

// Config reads the certificates by read.
func (t *ServerTLS) Config(read func(path string) ([]byte, error)) (*tls.Config, error) {
	return t.config(read)
}

func (t *ServerTLS) config(read readFile) (*tls.Config, error) {
	c := &tls.Config{NextProtos: t.ALPN, MinVersion: t.Min, MaxVersion: t.Max}
	var errs []error
	for _, files := range t.Certificates {
		cert, err := files.load(read)
		if err != nil {
			errs = append(errs, fmt.Errorf("certificate %s: %w", files.Cert, err))
			continue
		}
		c.Certificates = append(c.Certificates, cert)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(t.ALPN) > 0 && !t.RequireALPN {
		// crypto/tls would refuse a client whose protocols are all unknown.
		plain := c.Clone()
		plain.NextProtos = nil
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			for _, p := range hello.SupportedProtos {
				if slices.Contains(t.ALPN, p) {
					return nil, nil
				}
			}
			return plain, nil
		}
	}
	return c, nil
}

func (f Certificate) load(read readFile) (tls.Certificate, error) {
	cert, err := read(f.Cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	if f.Key != "" {
		key, err := read(f.Key)
		if err != nil {
			return tls.Certificate{}, err
		}
		return tls.X509KeyPair(cert, key)
	}
	var chain, key bytes.Buffer
	for rest := cert; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		to := &chain
		if block.Type != "CERTIFICATE" {
			to = &key
		}
		if err := pem.Encode(to, block); err != nil {
			return tls.Certificate{}, err
		}
	}
	return tls.X509KeyPair(chain.Bytes(), key.Bytes())
}

func (t *ClientTLS) config(read readFile) (*tls.Config, error) {
	c := &tls.Config{ServerName: t.ServerName, NextProtos: t.ALPN, MinVersion: tls.VersionTLS12}
	if !t.Verify {
		c.InsecureSkipVerify = true // what the file asks for, by `verify none`
		return c, nil
	}
	if t.CAFile == SystemRoots {
		return c, nil
	}
	data, err := read(t.CAFile)
	if err != nil {
		return nil, fmt.Errorf("CA file %s: %w", t.CAFile, err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("CA file %s: no certificate in it", t.CAFile)
	}
	if c.ServerName == "" {
		// HAProxy checks the chain only, unless a name is asked for.
		c.InsecureSkipVerify = true
		c.VerifyConnection = chainOnly(c.RootCAs)
	}
	return c, nil
}

func chainOnly(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("the server sent no certificate")
		}
		opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, c := range state.PeerCertificates[1:] {
			opts.Intermediates.AddCert(c)
		}
		_, err := state.PeerCertificates[0].Verify(opts)
		return err
	}
}
