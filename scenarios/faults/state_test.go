package faults

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kasgen/internal/edgeconf"
	"kasgen/internal/kasconf"
	"kasgen/internal/lockfile"
	"kasgen/internal/strictyaml"
	"kasgen/runtime/state"
)

// ports are those of the bundle, by what they are for.
func (w *world) ports(t *testing.T) *strings.Replacer {
	t.Helper()
	port := func(address string) string { return address[strings.LastIndex(address, ":")+1:] }
	read := func(name string, into any) bool {
		data, err := os.ReadFile(filepath.Join(w.dir, name))
		if err != nil {
			return false
		}
		strictyaml.Decode(name, data, into)
		return true
	}
	var lock lockfile.File
	var edge edgeconf.File
	var kas kasconf.File
	read(lockfile.Name, &lock)
	read(kasFile, &kas)
	list := []string{"{front}", port(lock.Names.KAS.Listeners[0]), "{agents}", port(kas.Agent.Listen.Address), "{api}", port(kas.Agent.KubernetesAPI.Listen.Address)}
	if read(edgeFile, &edge) {
		list = append(list, "{edge}", port(edge.Listeners[0].Address))
	}
	if data, err := os.ReadFile(filepath.Join(w.dir, haproxyFile)); err == nil {
		if _, rest, ok := strings.Cut(string(data), "server grpc-balancer 127.0.0.1:"); ok {
			grpc, _, _ := strings.Cut(rest, " ")
			list = append(list, "{grpc}", grpc)
		}
	}
	return strings.NewReplacer(list...)
}

// otherName has the development CA issue for somebody else.
func otherName(t *testing.T, w *world) {
	t.Helper()
	authority(t, filepath.Join(w.state, "tls/ca.crt"))
	if _, err := state.Ensure([]state.Item{
		{Path: filepath.Join(w.state, "tls/ca.crt"), Kind: state.CA},
		{Path: filepath.Join(w.state, "tls/kas.crt"), Kind: state.Certificate, Names: []string{"gitlab.example.com"}},
	}); err != nil {
		t.Fatal(err)
	}
}

// otherCA has one that nobody knows issue for kas.
func otherCA(t *testing.T, w *world) {
	t.Helper()
	issue(t, filepath.Join(t.TempDir(), "tls/ca.crt"), filepath.Join(w.state, "tls/kas.crt"), time.Hour*24*90)
}

// expired has the development CA issue what is over.
func expired(t *testing.T, w *world) {
	t.Helper()
	issue(t, filepath.Join(w.state, "tls/ca.crt"), filepath.Join(w.state, "tls/kas.crt"), -time.Minute)
}

// authority makes a CA of somebody's: what our own has issued, a start puts right.
func authority(t *testing.T, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "A CA of somebody's"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour * 24 * 60), NotAfter: time.Now().Add(time.Hour * 24 * 365), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{file: {Type: "CERTIFICATE", Bytes: der}, state.KeyPath(file): {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// issue makes a CA, where there is none, and a certificate for kas's names.
func issue(t *testing.T, caFile, file string, left time.Duration) {
	t.Helper()
	authority(t, caFile)
	der := func(path string) []byte {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(data)
		return block.Bytes
	}
	ca, err := x509.ParseCertificate(der(caFile))
	if err != nil {
		t.Fatal(err)
	}
	caKey, err := x509.ParsePKCS8PrivateKey(der(state.KeyPath(caFile)))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "kas.example.com"}, DNSNames: []string{"kas.example.com", "kas-grpc.example.com"},
		NotBefore: time.Now().Add(-time.Hour * 24 * 30), NotAfter: time.Now().Add(left), KeyUsage: x509.KeyUsageDigitalSignature}
	leaf, err := x509.CreateCertificate(rand.Reader, template, ca, &key.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf})
	pkey := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{file: crt, state.KeyPath(file): pkey, state.CombinedPath(file): append(crt, pkey...)} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
