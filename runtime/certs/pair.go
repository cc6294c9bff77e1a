package certs

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"
)

// Parse reads a certificate, with its chain, and its key, in PEM.
func Parse(cert, key []byte) (*tls.Certificate, error) {
	c, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	if c.Leaf == nil { // GODEBUG=x509keypairleaf=0
		if c.Leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
			return nil, err
		}
	}
	return &c, nil
}

// Encode is the certificate with its chain, and its key, in PEM.
func Encode(c *tls.Certificate) (cert, key []byte, err error) {
	var b bytes.Buffer
	for _, der := range c.Certificate {
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			return nil, nil, err
		}
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding the key: %w", err)
	}
	return b.Bytes(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Describe fills in what the certificate itself says. A placeholder is none: no
// client trusts it, however long it lasts.
func (s *Status) Describe(leaf *x509.Certificate) {
	s.Issuer, s.NotBefore, s.NotAfter = leaf.Issuer.CommonName, leaf.NotBefore, leaf.NotAfter
	if IsPlaceholder(leaf) {
		s.Issuer, s.NotBefore, s.NotAfter = "", time.Time{}, time.Time{}
		s.Error = cmp.Or(s.Error, "none has been obtained yet; a placeholder lies there")
	}
}

// Names are the names and addresses of a certificate.
func Names(leaf *x509.Certificate) []string {
	names := append([]string(nil), leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}
