package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"
)

// placeholderName is the issuer of every placeholder.
const placeholderName = "kasgen placeholder, no certificate yet"

// placeholderLife is long: it is of no use to anybody and must not become the
// reason why a program does not start.
const placeholderLife = 10 * 365 * 24 * time.Hour

// Placeholder signs itself for names. nginx and HAProxy do not start without a
// certificate, and port 80 must be answered before a CA gives one.
func Placeholder(names []string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: placeholderName}, DNSNames: names,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(placeholderLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// IsPlaceholder says whether a certificate is one of Placeholder's.
func IsPlaceholder(leaf *x509.Certificate) bool { return leaf.Issuer.CommonName == placeholderName }
