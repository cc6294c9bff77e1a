package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/acme/autocert"
)

func quiet(t *testing.T) Options {
	t.Helper()
	cache, err := OpenDirectory(filepath.Join(t.TempDir(), "acme"))
	if err != nil {
		t.Fatal(err)
	}
	return Options{Log: slog.New(slog.DiscardHandler), Directory: "https://ca.invalid/dir", Certificates: [][]string{{"KAS.example.com"}},
		Challenges: []Challenge{TLSALPN01, HTTP01}, Cache: cache}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"good":           {func(*Options) {}, ""},
		"plain http":     {func(o *Options) { o.Directory = "http://ca.invalid/dir" }, "not an https URL"},
		"no directory":   {func(o *Options) { o.Directory = "" }, "not an https URL"},
		"key type":       {func(o *Options) { o.KeyType = "dsa" }, "unknown key type"},
		"no cache":       {func(o *Options) { o.Cache = nil }, "without a cache"},
		"no challenge":   {func(o *Options) { o.Challenges = nil }, "no challenge"},
		"dns-01":         {func(o *Options) { o.Challenges = []Challenge{"dns-01"} }, "unknown challenge"},
		"no names":       {func(o *Options) { o.Certificates = [][]string{{}} }, "without a name"},
		"wildcard":       {func(o *Options) { o.Certificates = [][]string{{"*.example.com"}} }, "dns-01"},
		"address":        {func(o *Options) { o.Certificates = [][]string{{"192.0.2.1"}} }, "not a host name"},
		"path":           {func(o *Options) { o.Certificates = [][]string{{"../../etc.com"}} }, "not a host name"},
		"no dot":         {func(o *Options) { o.Certificates = [][]string{{"kas"}} }, "not a host name"},
		"the same twice": {func(o *Options) { o.Certificates = [][]string{{"a.example.com"}, {"A.example.com"}} }, "two certificates"},
	} {
		o := quiet(t)
		tt.change(&o)
		_, err := New(t.Context(), o)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// TestStrangers asks for answers that there are not.
func TestStrangers(t *testing.T) {
	t.Parallel()
	s, err := New(t.Context(), quiet(t))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, hello := range []struct {
		name   string
		protos []string
	}{{"kas.example.com", nil}, {"kas.example.com", []string{"h2"}}, {"kas.example.com", []string{"h2", "acme-tls/1"}},
		{"kas.example.com", []string{"acme-tls/1"}}, {"other.example.com", []string{"acme-tls/1"}}} {
		got = append(got, offered(t, s, hello.name, hello.protos))
	}
	want := []string{"the listener's", "the listener's", "the listener's", "refused", "refused"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what clients get (-want +got):\n%s", diff)
	}
	secret := filepath.Join(s.o.Cache.(*Directory).path, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := s.HTTPHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	for path, want := range map[string]int{
		"/": http.StatusTeapot, "/.well-known/acme-challenge": http.StatusTeapot, wellKnown: http.StatusNotFound, wellKnown + "none": http.StatusNotFound,
		wellKnown + "../secret": http.StatusNotFound, wellKnown + "..%2fsecret": http.StatusNotFound, wellKnown + "secret%00": http.StatusNotFound,
	} {
		rec := httptest.NewRecorder()
		req := httptest.NewRequest(http.MethodGet, "http://kas.example.com"+path, nil)
		h.ServeHTTP(rec, req)
		if rec.Code != want || strings.Contains(rec.Body.String(), "secret") {
			t.Errorf("%s: %d %q, want %d", path, rec.Code, rec.Body, want)
		}
	}
}

// offered is what GetConfigForClient makes of a real handshake.
func offered(t *testing.T, s *Source, name string, protos []string) string {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	go func() {
		_ = tls.Client(client, &tls.Config{ServerName: name, NextProtos: protos, MinVersion: tls.VersionTLS12}).HandshakeContext(t.Context())
	}()
	got := "nothing"
	stop := errors.New("seen")
	err := tls.Server(server, &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		switch c, err := s.GetConfigForClient(hello); {
		case err != nil:
			got = "refused"
		case c == nil:
			got = "the listener's"
		default:
			got = "an answer"
		}
		return nil, stop
	}}).HandshakeContext(t.Context())
	server.Close()
	if !errors.Is(err, stop) {
		t.Error(err)
	}
	return got
}

func TestRenewal(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	life := 90 * 24 * time.Hour
	at := func(share float64) time.Time { return start.Add(time.Duration(share * float64(life))) }
	distinct := map[time.Time]bool{}
	for i := range 50 {
		leaf := &x509.Certificate{Raw: []byte{byte(i)}, NotBefore: start, NotAfter: start.Add(life)}
		for name, tt := range map[string]struct {
			ari         renewalInfo
			first, last time.Time
		}{
			"own":      {renewalInfo{}, at(2.0/3 - 1e-9), at(2.0/3 + 0.05 + 1e-9)},
			"window":   {renewalInfo{Start: at(0.1), End: at(0.2)}, at(0.1), at(0.2)},
			"now":      {renewalInfo{Start: at(-1), End: at(-0.5)}, at(-1), at(-0.5)},
			"too late": {renewalInfo{Start: at(1.5), End: at(2)}, at(0.95 - 1e-9), at(0.95 + 1e-9)},
			"reversed": {renewalInfo{Start: at(0.2), End: at(0.1)}, at(2.0/3 - 1e-9), at(2.0/3 + 0.05 + 1e-9)},
		} {
			got := renewal(leaf, tt.ari)
			if got.Before(tt.first) || got.After(tt.last) || got != renewal(leaf, tt.ari) {
				t.Errorf("%s: %s, want it from %s to %s and always the same", name, got, tt.first, tt.last)
			}
		}
		distinct[renewal(leaf, renewalInfo{})] = true
	}
	if len(distinct) != 50 {
		t.Errorf("50 certificates are renewed at %d moments", len(distinct))
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	var got []time.Duration
	for n := 1; n < 9; n++ {
		got = append(got, again(time.Minute, n))
	}
	m := time.Minute
	if diff := cmp.Diff([]time.Duration{m / 10, m, 2 * m, 4 * m, 8 * m, 16 * m, 32 * m, 60 * m}, got); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	now := time.Now()
	for value, want := range map[string]time.Duration{"120": 2 * m, "0": 0, "9999999999": longestAsked, now.Add(-time.Hour).UTC().Format(http.TimeFormat): 0} {
		if got, ok := retryAfter(http.Header{"Retry-After": {value}}, now); !ok || got != want {
			t.Errorf("Retry-After: %s is %s, %v, want %s", value, got, ok, want)
		}
	}
	for _, value := range []string{"", "soon", "-1"} {
		if got, ok := retryAfter(http.Header{"Retry-After": {value}}, now); ok {
			t.Errorf("Retry-After: %q is %s", value, got)
		}
	}
	// What a clock that was ahead has written does not hold us up for longer
	// than what is kept of waits with a clock that is right.
	for _, r := range []record{{Until: now.Add(longestAsked + time.Hour), Asked: true}, {Until: now.Add(lastRetry + slack + m)}} {
		if until := r.wait(now, nil, false); !until.IsZero() {
			t.Errorf("%+v: waits until %s", r, until)
		}
	}
	for _, r := range []record{{Until: now.Add(longestAsked), Asked: true}, {Until: now.Add(lastRetry)}} {
		if until := r.wait(now, nil, false); !until.Equal(r.Until) {
			t.Errorf("%+v: waits until %s", r, until)
		}
	}
}

// TestCertID is the example of RFC 9773, section 4.1.
func TestCertID(t *testing.T) {
	t.Parallel()
	leaf := &x509.Certificate{SerialNumber: big.NewInt(0x87654321),
		AuthorityKeyId: []byte{0x69, 0x88, 0x5b, 0x6b, 0x87, 0x46, 0x40, 0x41, 0xe1, 0xb3, 0x7b, 0x84, 0x7b, 0xa0, 0xae, 0x2c, 0xde, 0x01, 0xc8, 0xd4}}
	if got, want := certID(leaf), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"; got != want {
		t.Errorf("ID %s, want %s", got, want)
	}
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cache")
	d, err := OpenDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v, want mode 0700", info, err)
	}
	ctx := t.Context()
	for _, key := range []string{"", "..", ".new-1", "a/b", "a\x00", "../x"} {
		if err := d.Put(ctx, key, nil); err == nil {
			t.Errorf("%q was taken as a key", key)
		}
	}
	if _, err := d.Get(ctx, "none"); !errors.Is(err, autocert.ErrCacheMiss) {
		t.Errorf("what is not there: %v, want autocert.ErrCacheMiss", err)
	}
	if err := d.Put(ctx, "a", []byte("text")); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Get(ctx, "a"); err != nil || string(got) != "text" {
		t.Errorf("got %q, %v", got, err)
	}
	for range 2 {
		if err := d.Delete(ctx, "a"); err != nil {
			t.Error(err)
		}
	}
	other, err := OpenDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, unlock, err := d.Lock(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 3*lockPoll)
	defer cancel()
	if _, _, err := other.Lock(short, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a lock that another has: %v", err)
	}
	unlock()
	_, unlock, err = other.Lock(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}
