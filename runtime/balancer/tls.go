package balancer

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"kasgen/runtime/certs"
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
	// ClientCA is a file of who signs clients' certificates; empty: no client is
	// asked for one. Who shows one that it did not sign is refused, and with
	// ClientRequired who shows none.
	ClientCA       string
	ClientRequired bool
}

// Certificate names the files of a certificate. An empty Key means that the
// certificate's file holds the key too, in any order, as HAProxy has it.
type Certificate struct{ Cert, Key string }

// Pair is where certificate and key lie.
func (c Certificate) Pair() certs.Pair {
	return certs.Pair{Certificate: c.Cert, Key: cmp.Or(c.Key, c.Cert)}
}

// ClientTLS is TLS towards a peer.
type ClientTLS struct {
	Verify     bool
	CAFile     string // with Verify; SystemRoots is the machine's own trust
	ServerName string
	ALPN       []string
}

type readFile func(path string) ([]byte, error)

// Config ends TLS with the certificates as they are in their files, and with
// what takes their place there.
func (t *ServerTLS) Config(watched *certs.Watched) (*tls.Config, error) {
	var pairs []certs.Pair
	for _, c := range t.Certificates {
		pairs = append(pairs, c.Pair())
	}
	files, err := watched.Open(pairs)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{NextProtos: t.ALPN, MinVersion: t.Min, MaxVersion: t.Max, GetCertificate: files.GetCertificate}
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
	return t.asking(c, watched)
}

// asking is c with clients asked for certificates, by the CAs as their file has
// them now.
func (t *ServerTLS) asking(c *tls.Config, watched *certs.Watched) (*tls.Config, error) {
	if t.ClientCA == "" {
		return c, nil
	}
	roots, err := watched.OpenRoots(t.ClientCA)
	if err != nil {
		return nil, err
	}
	auth := tls.VerifyClientCertIfGiven
	if t.ClientRequired {
		auth = tls.RequireAndVerifyClientCert
	}
	choose := c.GetConfigForClient
	asking := c.Clone()
	asking.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		of := c
		if choose != nil {
			chosen, err := choose(hello)
			if err != nil {
				return nil, err
			}
			of = cmp.Or(chosen, c)
		}
		with := of.Clone()
		with.GetConfigForClient = nil
		with.ClientCAs, with.ClientAuth = roots.Pool(), auth
		return with, nil
	}
	return asking, nil
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
