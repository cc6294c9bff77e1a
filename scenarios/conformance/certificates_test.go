package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// certificates are what a configuration names CERT and CERT_OTHER: files with a
// certificate and its key.
type certificates struct {
	pairs map[string]tls.Certificate
	files map[string]string
}

// certificateNames are the certificates, with the name that each is for.
func certificateNames() map[string]string {
	return map[string]string{"CERT": "kas.example.com", "CERT_OTHER": "other.example.com"}
}

func newCertificates(dir string) (*certificates, error) {
	c := &certificates{pairs: map[string]tls.Certificate{}, files: map[string]string{}}
	for word, name := range certificateNames() {
		text, err := selfSigned(name)
		if err != nil {
			return nil, err
		}
		if c.pairs[word], err = tls.X509KeyPair(text, text); err != nil {
			return nil, err
		}
		c.files[word] = filepath.Join(dir, word+".pem")
		if err := os.WriteFile(c.files[word], text, 0o644); err != nil { // of nobody's use but this test's
			return nil, err
		}
	}
	return c, nil
}

func (c *certificates) pair(word string) tls.Certificate { return c.pairs[word] }

// name tells which one a server showed.
func (c *certificates) name(shown *x509.Certificate) string {
	for word, p := range c.pairs {
		if shown.Equal(p.Leaf) {
			return word
		}
	}
	return "a certificate of its own"
}

func selfSigned(name string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	spec := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, spec, spec, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...), nil
}
