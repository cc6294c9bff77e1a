package acme

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"kasgen/runtime/certs/pebble"
)

func TestIssue(t *testing.T) {
	t.Parallel()
	mac := []byte("a key of thirty-two bytes, or so")
	tests := []struct {
		name    string
		pebble  pebble.Options
		options func(*Options)
		names   []string // of one certificate or of two
	}{
		{"tls-alpn-01", pebble.Options{}, func(*Options) {}, []string{kas}},
		{"http-01", pebble.Options{}, func(o *Options) { o.Challenges = []Challenge{HTTP01} }, []string{kas}},
		{"two names in one", pebble.Options{}, func(o *Options) { o.Certificates = [][]string{{kas, grpc}} }, []string{kas, grpc}},
		{"two certificates", pebble.Options{}, func(o *Options) { o.Certificates = [][]string{{kas}, {grpc}} }, []string{kas, grpc}},
		{"external account", pebble.Options{ExternalAccounts: map[string]string{"me": base64.RawURLEncoding.EncodeToString(mac)}},
			func(o *Options) { o.External = &ExternalAccount{KeyID: "me", Key: mac} }, []string{kas}},
		{"rsa", pebble.Options{}, func(o *Options) { o.KeyType = RSA2048 }, []string{kas}},
		{"ecdsa384", pebble.Options{}, func(o *Options) { o.KeyType = ECDSA384 }, []string{kas}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tt.pebble)
			dir := t.TempDir()
			o := w.options(dir)
			tt.options(&o)
			s := w.replica(o)
			run(t, s)
			await(t, "a certificate", ready(s))
			for _, name := range tt.names {
				if got, want := keyOf(w.leafOf(name)), cmp.Or(o.KeyType, ECDSA256); got != want {
					t.Errorf("%s has a key %s, want %s", name, got, want)
				}
			}
			w.mu.Lock()
			if len(w.accounts) != 1 || !strings.Contains(w.accounts[0], `"contact":["mailto:ops@example.com"]`) {
				t.Errorf("the CA was told %v of the account, want one and its address", w.accounts)
			}
			w.mu.Unlock()
			if got := len(w.placed()); got != len(o.Certificates) {
				t.Errorf("%d orders, want %d", got, len(o.Certificates))
			}
			private(t, dir)
			if strings.Contains(w.log.String(), "PRIVATE") {
				t.Error("the log holds a key")
			}
		})
	}
}

// keyOf is the kind of a certificate's key.
func keyOf(leaf *x509.Certificate) KeyType {
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		return KeyType(fmt.Sprint("rsa", key.N.BitLen()))
	case *ecdsa.PublicKey:
		return KeyType(fmt.Sprint("ecdsa", key.Curve.Params().BitSize))
	default:
		return KeyType(fmt.Sprintf("%T", key))
	}
}

// private holds every file in a cache to its mode, and looks for answers to
// challenges that were left.
func private(t *testing.T, dir string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) == 0 {
		t.Errorf("the cache holds %v, %v", files, err)
	}
	for _, f := range files {
		info, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was on its way to its name
		}
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want mode 0600", f.Name(), info, err)
		}
		if left(f.Name()) {
			t.Errorf("%s was left", f.Name())
		}
	}
}

// TestFallsBack tries tls-alpn-01 first, for which nobody listens.
func TestFallsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{})
	w.tls.Close()
	o := w.options(t.TempDir())
	o.Challenges = []Challenge{TLSALPN01, HTTP01}
	o.Webroot = t.TempDir()
	s := w.replica(o)
	run(t, s)
	await(t, "a certificate", ready(s))
	if got := len(w.placed()); got != 2 {
		t.Errorf("%d orders, want one for each challenge", got)
	}
	left, err := os.ReadDir(filepath.Join(o.Webroot, wellKnown))
	if err != nil || len(left) != 0 {
		t.Errorf("the webroot was left with %v, %v", left, err)
	}
}

// TestWebrootIsPublic has a server of another user enter what is made for it,
// below the umask that units have; what there was keeps its mode.
func TestWebrootIsPublic(t *testing.T) { //nolint:paralleltest // the umask is the whole process's
	defer syscall.Umask(syscall.Umask(0o077))
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "www"), 0o750); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "www/a", wellKnown)
	for range 2 {
		if err := mkdirPublic(dir); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]os.FileMode{"www": 0o700, "www/a": 0o755, "www/a/.well-known": 0o755, "www/a" + wellKnown: 0o755} {
		info, err := os.Stat(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %#o, want %#o", path, got, want)
		}
	}
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := mkdirPublic(filepath.Join(file, "below")); err == nil {
		t.Error("a directory was made below a file")
	}
}

// TestReplicas starts two at once: one order, and the CA's questions go to
// whichever has its turn.
func TestReplicas(t *testing.T) {
	t.Parallel()
	for _, challenge := range []Challenge{TLSALPN01, HTTP01} {
		t.Run(string(challenge), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, pebble.Options{})
			dir := t.TempDir()
			o := w.options(dir)
			o.Challenges = []Challenge{challenge}
			second := w.options(dir) // a cache of its own on the same directory
			second.Challenges = o.Challenges
			a, b := w.replica(o), w.replica(second)
			run(t, a)
			run(t, b)
			await(t, "both replicas", func() bool { return ready(a)() && ready(b)() })
			if diff := gocmp.Diff(a.Certificate(kas).Certificate, b.Certificate(kas).Certificate); diff != "" {
				t.Errorf("the replicas have different certificates:\n%s", diff)
			}
			if n, accounts := len(w.placed()), w.made(); n != 1 || accounts != 1 {
				t.Errorf("%d orders and %d accounts, want one of each", n, accounts)
			}
			// Both are told to renew at one moment: one order more.
			before := a.Certificate(kas)
			var both sync.WaitGroup
			for _, s := range []*Source{a, b} {
				both.Go(func() {
					if err := s.Renew(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			both.Wait()
			await(t, "both replicas to agree", func() bool {
				x, y := a.Certificate(kas), b.Certificate(kas)
				return x != before && slices.Equal(x.Certificate[0], y.Certificate[0])
			})
			if n := len(w.placed()); n < 2 || n > 3 {
				t.Errorf("%d orders, want 2, or 3 if one renewal was over before the other began", n)
			}
		})
	}
}
