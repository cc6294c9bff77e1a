package edge

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/edgeconf"
	"kasgen/runtime/certs"
	"kasgen/runtime/host"
	"kasgen/runtime/sniff"
)

// shelf is files that tests change while edges read them.
type shelf struct {
	mu    sync.Mutex
	files map[string][]byte
}

func (s *shelf) put(path string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files == nil {
		s.files = map[string][]byte{}
	}
	s.files[path] = data
}

func (s *shelf) read(path string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if data, ok := s.files[path]; ok {
		return data, nil
	}
	return nil, fs.ErrNotExist
}

// edgeOn is a process of its own that shares the files. What changes with time
// is refreshed by the test.
func edgeOn(t *testing.T, files *shelf, f *edgeconf.File) (string, *policy) {
	t.Helper()
	h := host.Machine(slog.New(slog.NewTextHandler(t.Output(), nil)))
	h.ReadFile = files.read
	ctx, cancel := context.WithCancel(t.Context())
	local := endpoints()
	s, err := (&Config{file: f}).New(ctx, h, func(address string) (Endpoint, bool) { e, ok := local[address]; return e, ok })
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s.Addrs()[f.Listeners[0].Address].String(), s.policies[0]
}

// resumed opens a connection, reads what the tickets come with, and says
// whether the session was resumed.
func resumed(t *testing.T, addr string, config *tls.Config) bool {
	t.Helper()
	c := dial(t, addr, config).(*tls.Conn)
	if _, err := io.WriteString(c, sniff.Preface); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "grpc" {
		t.Fatalf("read %q, %v", got, err)
	}
	return c.ConnectionState().DidResume
}

func TestSessionTickets(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			cert, key, pool := certificate(t)
			var files shelf
			files.put("cert", cert)
			files.put("key", key)
			files.put("tickets", []byte(strings.Repeat("s", 32)))
			f := file()
			f.Listeners[0].TLS.SessionTickets = &edgeconf.SessionTickets{KeyFile: "tickets", Rotate: seconds(12 * 3600)}
			a, policyA := edgeOn(t, &files, f)
			b, policyB := edgeOn(t, &files, f)
			client := &tls.Config{ServerName: name, RootCAs: pool, NextProtos: []string{"h2"}, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
			// The clock of b is a little ahead, so that it is the first to rotate.
			begin := time.Date(2026, 1, 1, 11, 59, 0, 0, time.UTC)
			at := func(after time.Duration) {
				t.Helper()
				policyA.now = func() time.Time { return begin.Add(after) }
				policyB.now = func() time.Time { return begin.Add(after + 2*time.Minute) }
				for _, p := range []*policy{policyA, policyB} {
					if err := p.refresh(); err != nil {
						t.Fatal(err)
					}
				}
			}
			var got []bool
			at(0)
			got = append(got, resumed(t, a, client), resumed(t, a, client), resumed(t, b, client), resumed(t, a, client))
			at(11 * time.Hour) // the key of a has rotated
			got = append(got, resumed(t, b, client), resumed(t, a, client))
			at(40 * time.Hour) // twice without a connection
			got = append(got, resumed(t, a, client), resumed(t, b, client))
			files.put("tickets", []byte(strings.Repeat("n", 32))) // another secret
			at(40 * time.Hour)
			got = append(got, resumed(t, b, client), resumed(t, a, client))
			files.put("tickets", []byte("short")) // it stays
			if policyA.refresh() == nil {
				t.Error("a short secret was taken")
			}
			got = append(got, resumed(t, a, client))
			want := []bool{false, true, true, true, true, true, false, true, true, true, true}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("resumed (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOwnTickets: without a shared secret each process resumes its own.
func TestOwnTickets(t *testing.T) {
	t.Parallel()
	a, poolA := run(t, file(), endpoints())
	client := &tls.Config{ServerName: name, RootCAs: poolA, NextProtos: []string{"h2"}, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	if first, second := resumed(t, a, client), resumed(t, a, client); first || !second {
		t.Errorf("resumed %v, then %v", first, second)
	}
}

func TestSessionTicketsRefused(t *testing.T) {
	t.Parallel()
	cert, key, _ := certificate(t)
	var files shelf
	files.put("cert", cert)
	files.put("key", key)
	f := file()
	f.Listeners[0].TLS.SessionTickets = &edgeconf.SessionTickets{KeyFile: "tickets", Rotate: seconds(3600)}
	h := host.Machine(slog.New(slog.DiscardHandler))
	h.ReadFile = files.read
	for _, secret := range []string{"", "short", strings.Repeat(" ", 40)} {
		if secret != "" {
			files.put("tickets", []byte(secret))
		}
		if s, err := (&Config{file: f}).New(t.Context(), h, nil); err == nil {
			s.Close()
			t.Errorf("the secret %q was taken", secret)
		} else if secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}

// signer makes certificates of a CA for clients.
func signer(t *testing.T, cn string) (caPEM []byte, client tls.Certificate) {
	t.Helper()
	make := func(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if parent == nil {
			parent, parentKey = template, k
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &k.PublicKey, parentKey)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c, k
	}
	now := time.Now()
	ca, caKey := make(&x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	leaf, k := make(&x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "client of " + cn}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, ca, caKey)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw}), tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: k}
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	caA, clientA := signer(t, "a")
	caB, clientB := signer(t, "b")
	for _, required := range []bool{true, false} {
		var files shelf
		files.put("cert", cert)
		files.put("key", key)
		files.put("clients", caA)
		f := file()
		f.Listeners[0].TLS.ClientCA = &edgeconf.ClientCA{File: "clients", Required: required}
		addr, p := edgeOn(t, &files, f)
		// A session of a client whose CA goes must not outlive that.
		sessions := tls.NewLRUClientSessionCache(0)
		passes := func(own *tls.Certificate, sessions tls.ClientSessionCache) bool {
			t.Helper()
			config := &tls.Config{ServerName: name, RootCAs: pool, NextProtos: []string{"h2"}, ClientSessionCache: sessions,
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					if own == nil {
						return &tls.Certificate{}, nil
					}
					return own, nil
				}}
			c := dial(t, addr, config)
			_, _ = io.WriteString(c, sniff.Preface)
			got, _ := io.ReadAll(c)
			return string(got) == "grpc"
		}
		got := []bool{passes(&clientA, sessions), passes(&clientA, sessions), passes(&clientB, nil), passes(nil, nil)}
		files.put("clients", []byte("broken"))
		if p.refresh() == nil {
			t.Error("a CA that is none was taken")
		}
		got = append(got, passes(&clientA, nil))
		files.put("clients", caB)
		if err := p.refresh(); err != nil {
			t.Fatal(err)
		}
		got = append(got, passes(&clientA, sessions), passes(&clientB, nil))
		want := []bool{true, true, false, !required, true, false, true}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("required %v: who passes (-want +got):\n%s", required, diff)
		}
	}
}

// validated is a source that answers a CA as ACME's does.
type validated struct{ certs.Set }

func (v *validated) GetConfigForClient(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if slices.Contains(hello.SupportedProtos, "acme-tls/1") {
		return &tls.Config{GetCertificate: v.GetCertificate, NextProtos: []string{"acme-tls/1"}, MinVersion: tls.VersionTLS12}, nil
	}
	return nil, nil
}
func (*validated) Status() []certs.Status        { return nil }
func (*validated) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// TestClientCertificatesAndCA: a CA that validates a name has no certificate
// from anybody's CA, and is answered all the same.
func TestClientCertificatesAndCA(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	pair, err := certs.Parse(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	var src validated
	src.Put(name, pair)
	var files shelf
	ca, _ := signer(t, "a")
	files.put("clients", ca)
	f := file()
	f.Listeners[0].TLS.ClientCA = &edgeconf.ClientCA{File: "clients", Required: true}
	h := host.Machine(slog.New(slog.DiscardHandler))
	h.ReadFile = files.read
	s, err := (&Config{file: f}).NewWith(t.Context(), h, nil, func(string) (certs.Source, bool) { return &src, true })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	addr := s.Addrs()[f.Listeners[0].Address].String()
	for _, protocol := range []string{"acme-tls/1", "h2"} {
		c := dial(t, addr, &tls.Config{ServerName: name, RootCAs: pool, NextProtos: []string{protocol}, MaxVersion: tls.VersionTLS12}).(*tls.Conn)
		if err := c.HandshakeContext(t.Context()); (err == nil) != (protocol == "acme-tls/1") {
			t.Errorf("%s without a certificate: %v", protocol, err)
		}
	}
}
