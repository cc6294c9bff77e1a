package state

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kasgen/runtime/certs/atomicfile"
)

// Lifetimes of development certificates. A leaf's is below the 398 days that
// clients accept at the most.
const (
	caLifetime   = 10 * 365 * 24 * time.Hour
	leafLifetime = 365 * 24 * time.Hour
	clockSlack   = time.Hour
)

// caName is what the name of every development CA begins with.
const caName = "kasgen development CA "

// authority is the development CA.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// KeyPath is where the key of a certificate at path lies: kas.crt has kas.key.
func KeyPath(path string) string { return strings.TrimSuffix(path, filepath.Ext(path)) + ".key" }

// CombinedPath is where certificate and key lie in one file, as HAProxy wants
// them.
func CombinedPath(path string) string { return strings.TrimSuffix(path, filepath.Ext(path)) + ".pem" }

func ensureCA(path string) (*authority, bool, error) {
	if exists(path) {
		a, err := readCA(path)
		return a, false, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, false, err
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, false, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: caName + serial.Text(36)[:6]},
		NotBefore: now.Add(-clockSlack), NotAfter: now.Add(caLifetime),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, false, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, false, err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, false, err
	}
	if err := write(KeyPath(path), keyPEM); err != nil {
		return nil, false, err
	}
	return &authority{cert, key}, true, write(path, encodeCert(der))
}

func readCA(path string) (*authority, error) {
	certPEM, errCert := os.ReadFile(path)
	keyPEM, errKey := os.ReadFile(KeyPath(path))
	if err := errors.Join(errCert, errKey); err != nil {
		return nil, err
	}
	c, _ := pem.Decode(certPEM)
	k, _ := pem.Decode(keyPEM)
	if c == nil || k == nil {
		return nil, errors.New("certificate or key is not PEM")
	}
	cert, err := x509.ParseCertificate(c.Bytes)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(k.Bytes)
	if err != nil {
		return nil, err
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok || !cert.IsCA || !ec.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%s is not the key of the CA in %s", KeyPath(path), path)
	}
	return &authority{cert, ec}, nil
}

// issue writes a certificate for names, its key, and both in one file. Whoever
// reads them meanwhile finds the old file or the new; the certificate comes
// last, so that what is left by half is issued anew.
func (a *authority) issue(path string, names []string) error {
	if len(names) == 0 {
		return errors.New("a certificate needs a name")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := serialNumber()
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[0]},
		NotBefore: now.Add(-clockSlack), NotAfter: now.Add(leafLifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return err
	}
	chain := append(encodeCert(der), encodeCert(a.cert.Raw)...)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	for _, f := range []struct {
		path string
		data []byte
	}{{KeyPath(path), keyPEM}, {CombinedPath(path), append(chain[:len(chain):len(chain)], keyPEM...)}, {path, chain}} {
		if err := atomicfile.Write(f.path, f.data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func serialNumber() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
