package state

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEnsure(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	at := func(name string) string { return filepath.Join(dir, name) }
	items := []Item{
		{Path: at("secrets/gitlab"), Kind: Secret},
		{Path: at("secrets/websocket"), Kind: WebSocketSecret},
		{Path: at("tls/kas.crt"), Kind: Certificate, Names: []string{"kas.example.com", "127.0.0.1"}},
		{Path: at("tls/ca.crt"), Kind: CA},
	}
	if got := len(Missing(items)); got != 4 {
		t.Errorf("%d files are missing at first, want 4", got)
	}
	made, err := Ensure(items)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{at("tls/ca.crt"), at("secrets/gitlab"), at("secrets/websocket"), at("tls/kas.crt")}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
	for name, n := range map[string]int{"secrets/gitlab": 32, "secrets/websocket": 72} {
		text, err := os.ReadFile(at(name))
		if err != nil {
			t.Fatal(err)
		}
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
		if err != nil || len(key) != n {
			t.Errorf("%s holds %d bytes (%v), want %d", name, len(key), err, n)
		}
	}
	pool := x509.NewCertPool()
	root, err := os.ReadFile(at("tls/ca.crt"))
	if err != nil || !pool.AppendCertsFromPEM(root) {
		t.Fatal(err)
	}
	for _, files := range [][2]string{{"tls/kas.crt", "tls/kas.key"}, {"tls/kas.pem", "tls/kas.pem"}} {
		pair, err := tls.LoadX509KeyPair(at(files[0]), at(files[1]))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"kas.example.com", "127.0.0.1"} {
			if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name}); err != nil {
				t.Errorf("%s for %s: %v", files[0], name, err)
			}
		}
	}
	err = filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v: others may read it", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	before, _ := os.ReadFile(at("tls/kas.pem"))
	if made, err := Ensure(items); err != nil || len(made) != 0 {
		t.Errorf("a second time made %v, %v", made, err)
	}
	if after, _ := os.ReadFile(at("tls/kas.pem")); string(after) != string(before) {
		t.Error("a second time changed the certificate")
	}
	if err := os.Remove(at("tls/kas.crt")); err != nil {
		t.Fatal(err)
	}
	if _, err := Ensure(items); err != nil {
		t.Errorf("making a lost certificate anew: %v", err)
	}
}

func TestEnsureRefusesAForeignKey(t *testing.T) {
	t.Parallel()
	a, b := t.TempDir(), t.TempDir()
	for _, dir := range []string{a, b} {
		if _, err := Ensure([]Item{{Path: filepath.Join(dir, "ca.crt"), Kind: CA}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(filepath.Join(b, "ca.key"), filepath.Join(a, "ca.key")); err != nil {
		t.Fatal(err)
	}
	_, err := Ensure([]Item{{Path: filepath.Join(a, "ca.crt"), Kind: CA}})
	if err == nil || !strings.Contains(err.Error(), "is not the key of the CA") {
		t.Errorf("a CA with another's key: %v", err)
	}
}

// TestOutdated: a certificate of the development CA is issued anew where it does
// not do any more, in every form, and another's stays.
func TestOutdated(t *testing.T) {
	t.Parallel()
	names := []string{"kas.example.com", "127.0.0.1"}
	for name, tt := range map[string]struct {
		change func(t *testing.T, dir string, items []Item)
		anew   bool
	}{
		"as it was":        {func(*testing.T, string, []Item) {}, false},
		"in another order": {func(_ *testing.T, _ string, items []Item) { items[1].Names = []string{"127.0.0.1", "kas.example.com"} }, false},
		"one name more": {func(_ *testing.T, _ string, items []Item) {
			items[1].Names = append(items[1].Names, "grpc.example.com")
		}, true},
		"one name less":   {func(_ *testing.T, _ string, items []Item) { items[1].Names = names[:1] }, true},
		"another CA":      {func(t *testing.T, dir string, items []Item) { otherCA(t, dir, items[0]) }, true},
		"another's key":   {func(t *testing.T, dir string, _ []Item) { rename(t, dir, "ca.key", "kas.key") }, true},
		"nearly over":     {func(t *testing.T, dir string, items []Item) { lasting(t, "", items, renewBefore-time.Hour) }, true},
		"somebody else's": {func(t *testing.T, _ string, items []Item) { lasting(t, "A CA", items, time.Hour) }, false},
		"no certificate":  {func(t *testing.T, dir string, _ []Item) { rename(t, dir, "kas.key", "kas.crt") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			items := []Item{{Path: filepath.Join(dir, "ca.crt"), Kind: CA}, {Path: filepath.Join(dir, "kas.crt"), Kind: Certificate, Names: names}}
			if _, err := Ensure(items); err != nil {
				t.Fatal(err)
			}
			tt.change(t, dir, items)
			before, err := os.ReadFile(items[1].Path)
			if err != nil {
				t.Fatal(err)
			}
			made, err := Ensure(items)
			if err != nil {
				t.Fatal(err)
			}
			after, err := os.ReadFile(items[1].Path)
			if err != nil || slices.Contains(made, items[1].Path) != tt.anew || bytes.Equal(before, after) == tt.anew {
				t.Fatalf("made %v, %v, want anew: %v", made, err, tt.anew)
			}
			if !tt.anew {
				return
			}
			root, err := readCA(items[0].Path)
			if err != nil {
				t.Fatal(err)
			}
			pool := x509.NewCertPool()
			pool.AddCert(root.cert)
			for _, files := range [][2]string{{"kas.crt", "kas.key"}, {"kas.pem", "kas.pem"}} {
				pair, err := tls.LoadX509KeyPair(filepath.Join(dir, files[0]), filepath.Join(dir, files[1]))
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range items[1].Names {
					if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: n}); err != nil {
						t.Errorf("%s: %v", files[0], err)
					}
				}
				if info, err := os.Stat(filepath.Join(dir, files[1])); err != nil || info.Mode().Perm() != 0o600 {
					t.Error(files[1], info.Mode(), err)
				}
			}
			if made, err := Ensure(items); err != nil || len(made) > 0 {
				t.Errorf("again made %v, %v", made, err)
			}
		})
	}
}

func otherCA(t *testing.T, dir string, ca Item) {
	t.Helper()
	if err := errors.Join(os.Remove(filepath.Join(dir, "ca.crt")), os.Remove(filepath.Join(dir, "ca.key"))); err != nil {
		t.Fatal(err)
	}
	if _, err := Ensure([]Item{ca}); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, dir, from, to string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, from))
	if err := errors.Join(err, os.WriteFile(filepath.Join(dir, to), data, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// lasting puts a pair in place that is valid for so long, of the development CA
// or of an issuer of that name.
func lasting(t *testing.T, issuer string, items []Item, left time.Duration) {
	t.Helper()
	ca, err := readCA(items[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	parent := *ca.cert
	if issuer != "" {
		parent = x509.Certificate{Subject: pkix.Name{CommonName: issuer}}
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kas"}, DNSNames: items[1].Names[:1], IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(left)}
	der, err := x509.CreateCertificate(rand.Reader, template, &parent, &ca.key.PublicKey, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	key, err := encodeKey(ca.key)
	if err := errors.Join(err, os.WriteFile(items[1].Path, encodeCert(der), 0o600), os.WriteFile(KeyPath(items[1].Path), key, 0o600)); err != nil {
		t.Fatal(err)
	}
}
