package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// made is a certificate for names, self-signed.
func made(t testing.TB, serial int64, names ...string) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	c, ke, err := Encode(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k})
	if err != nil {
		t.Fatal(err)
	}
	return c, ke
}

func put(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// logged is what was logged, for tests to look at.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func options(l *logged) FilesOptions {
	return FilesOptions{Log: slog.New(slog.NewTextHandler(l, nil)), ReadFile: os.ReadFile, Interval: 10 * time.Millisecond}
}

func serial(c *tls.Certificate) int64 { return c.Leaf.SerialNumber.Int64() }

func TestSetChoosesByName(t *testing.T) {
	t.Parallel()
	var s Set
	if _, err := s.GetCertificate(&tls.ClientHelloInfo{ServerName: "kas.example.com"}); !errors.Is(err, ErrNone) {
		t.Errorf("an empty set: %v, want ErrNone", err)
	}
	for i, names := range [][]string{{"kas.example.com"}, {"kas-grpc.example.com"}, {"*.wild.example.com"}} {
		c, err := Parse(made(t, int64(i+1), names...))
		if err != nil {
			t.Fatal(err)
		}
		if !s.Put(names[0], c) || s.Put(names[0], c) {
			t.Error("Put does not tell a new certificate from the old one")
		}
	}
	for name, want := range map[string]int64{
		"kas.example.com": 1, "KAS-GRPC.example.com": 2, "kas-grpc.example.com.": 2, "a.wild.example.com": 3,
		"b.a.wild.example.com": 1, "stranger.example.com": 1, "": 1,
	} {
		c, err := s.GetCertificate(&tls.ClientHelloInfo{ServerName: name, SupportedVersions: []uint16{tls.VersionTLS13}})
		if err != nil || serial(c) != want {
			t.Errorf("%q gets certificate %d, %v, want %d", name, serial(c), err, want)
		}
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "kas.crt"), filepath.Join(dir, "kas.key")
	write := func(c, k []byte) { put(t, key, k); put(t, cert, c) }
	var l logged
	pairs := []Pair{{cert, key}}
	if _, err := OpenFiles(pairs, options(&l)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("files that are not there: %v", err)
	}
	write(made(t, 1, "kas.example.com"))
	f, err := OpenFiles(pairs, options(&l))
	if err != nil {
		t.Fatal(err)
	}
	changed, cancel := f.Subscribe()
	defer cancel()
	held := func(want int64) {
		t.Helper()
		if c := f.Certificate(cert); c == nil || serial(c) != want {
			t.Errorf("holds certificate %v, want %d", c.Leaf.SerialNumber, want)
		}
	}
	held(1)
	write(made(t, 2, "kas.example.com", "new.example.com"))
	f.Reload()
	held(2)
	select {
	case <-changed:
	default:
		t.Error("the subscriber was not told")
	}
	if got := f.Status()[0].Names; len(got) != 2 {
		t.Errorf("the status names %v, want the new certificate's two", got)
	}

	// A writer that is half done: no word about it, and none after it is done.
	c3, k3 := made(t, 3, "kas.example.com")
	put(t, key, k3)
	f.Reload()
	put(t, cert, c3)
	f.Reload()
	held(3)
	if got := l.String(); strings.Contains(got, "ERROR") {
		t.Errorf("a change in two steps was reported:\n%s", got)
	}

	// A pair that stays broken is reported once, and the old one stays.
	put(t, key, k3[:len(k3)/2])
	for range 4 {
		f.Reload()
	}
	held(3)
	if st := f.Status()[0]; st.Failures != 1 || st.Error == "" || !st.Ready(time.Now()) {
		t.Errorf("the status of a broken pair is %+v", st)
	}
	if n := strings.Count(l.String(), "level=ERROR"); n != 1 {
		t.Errorf("a broken pair was reported %d times, want once:\n%s", n, l.String())
	}
	if strings.Contains(l.String(), "PRIVATE") {
		t.Error("the log holds a key")
	}
	put(t, key, k3)
	f.Reload()
	if st := f.Status()[0]; st.Error != "" {
		t.Errorf("a repaired pair still has the error %q", st.Error)
	}
}

// TestFilesForeign puts a certificate for another name where one for the
// listener's lay, and a good one back.
func TestFilesForeign(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := Pair{filepath.Join(dir, "kas.crt"), filepath.Join(dir, "kas.key")}
	write := func(n int64, names ...string) {
		c, k := made(t, n, names...)
		put(t, p.Certificate, c)
		put(t, p.Key, k)
	}
	both := []string{"kas.example.com", "kas-grpc.example.com"}
	for _, tt := range []struct {
		served Served
		names  []string
		want   []string
	}{
		{Served{Pair: p, Names: both}, []string{"other.example.com"}, both},
		{Served{Pair: p, Names: both}, both[:1], both[1:]},
		{Served{Pair: p, AnyOf: both}, []string{"other.example.com"}, both},
		{Served{Pair: p, AnyOf: both}, both[1:], nil},
		{Served{Pair: Pair{"elsewhere", "elsewhere"}, Names: both}, []string{"other.example.com"}, nil},
		{Served{Pair: p, Names: both}, []string{"*.example.com"}, nil},
	} {
		write(1, both...)
		var l logged
		o := options(&l)
		o.Served = []Served{tt.served}
		f, err := OpenFiles([]Pair{p}, o)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range [][]string{nil, tt.want, nil} {
			if i == 1 {
				write(2, tt.names...)
			} else {
				write(3+int64(i), both...)
			}
			f.Reload()
			if got := f.Status()[0].Foreign; !slices.Equal(got, want) {
				t.Errorf("%+v: step %d with %v is foreign to %v, want %v", tt.served, i, tt.names, got, want)
			}
		}
	}
}

// TestFilesBehindALink swaps the directory as Kubernetes does: files are links
// into ..data, itself a link.
func TestFilesBehindALink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	generation := func(name string, n int64) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		c, k := made(t, n, "kas.example.com")
		put(t, filepath.Join(dir, name, "tls.crt"), c)
		put(t, filepath.Join(dir, name, "tls.key"), k)
		tmp := filepath.Join(dir, "..data_tmp")
		if err := errors.Join(os.Symlink(name, tmp), os.Rename(tmp, filepath.Join(dir, "..data"))); err != nil {
			t.Fatal(err)
		}
	}
	generation("..1", 1)
	for _, f := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", f), filepath.Join(dir, f)); err != nil {
			t.Fatal(err)
		}
	}
	var l logged
	f, err := OpenFiles([]Pair{{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}}, options(&l))
	if err != nil {
		t.Fatal(err)
	}
	changed, cancel := f.Subscribe()
	defer cancel()
	stop := background(t, f.Run)
	defer stop()
	generation("..2", 2)
	select {
	case <-changed:
	case <-time.After(20 * time.Second):
		t.Fatal("the swap was not seen")
	}
	if c := f.Certificate(filepath.Join(dir, "tls.crt")); serial(c) != 2 {
		t.Errorf("holds certificate %d, want 2", serial(c))
	}
}
