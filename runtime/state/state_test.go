package state

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
