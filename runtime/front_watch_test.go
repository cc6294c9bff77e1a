package runtime

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/judge"
	"kasgen/runtime/certs"
	"kasgen/runtime/host"
	"kasgen/runtime/native"
	"kasgen/runtime/state"
)

// TestNativeStatus: of each pair that a real program serves it is told what is
// wrong with it.
func TestNativeStatus(t *testing.T) {
	t.Parallel()
	w := &world{t: t, state: t.TempDir()}
	at := func(name string) string { return filepath.Join(w.state, name) }
	if _, err := state.Ensure([]state.Item{{Path: at("ca.crt"), Kind: state.CA}}); err != nil {
		t.Fatal(err)
	}
	w.lasting("kas", "kas.example.com", 6)
	none, err := certs.Placeholder([]string{"none.example.com"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.pair("none", none)
	w.lasting("other", "other.example.com", 60)
	if err := os.WriteFile(at("empty.pem"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("broken.crt"), []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pair := func(certificate, key string) certs.Served {
		return certs.Served{Pair: certs.Pair{Certificate: at(certificate), Key: at(key)}, AnyOf: []string{"kas.example.com", "kas-grpc.example.com"}}
	}
	f := &nativeFront{files: watchFiles(host.Machine(slog.New(slog.DiscardHandler)),
		nativeFiles{pairs: []certs.Served{
			pair("kas.crt", "kas.key"), pair("kas.pem", "kas.pem"), pair("none.pem", "none.pem"), pair("broken.crt", "kas.key"),
			pair("gone.pem", "gone.pem"), pair("empty.pem", "empty.pem"), pair("kas.crt", "none.key"), pair("other.crt", "other.key"), pair("ca.crt", "ca.key"),
		}})}
	var got []string
	for _, s := range f.Status() {
		line := filepath.Base(s.ID)
		for _, found := range certs.Findings([]certs.Status{s}, time.Now()) {
			line += " " + string(found.Severity) + " " + found.Code
		}
		for _, name := range s.Names {
			line += " " + name
		}
		got = append(got, line)
	}
	const both = " kas.example.com kas-grpc.example.com"
	want := []string{
		"kas.crt error KAS3302 kas.example.com", "kas.pem error KAS3302 kas.example.com", "none.pem error KAS3301 none.example.com", "broken.crt error KAS3301" + both,
		"gone.pem error KAS3301" + both, "empty.pem error KAS3301" + both, "kas.crt error KAS3301 kas.example.com", "other.crt error KAS3306 other.example.com", "ca.crt error KAS3306",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	// What lies there from now on is nothing that the program has read.
	if err := os.Remove(at("kas.pem")); err != nil {
		t.Fatal(err)
	}
	refusal := errors.New("nginx says no")
	bad := f.files.read().sum
	if news, again := f.files.refused(bad, refusal), f.files.refused(bad, refusal); !news || again {
		t.Errorf("a refusal is news: %v; and the same once more: %v", news, again)
	}
	if s := f.Status()[1]; s.Failures != 1 || s.Error != "nginx says no" || !s.Ready(time.Now()) {
		t.Errorf("after a reload that was refused, twice for one content: %+v", s)
	}
	if bad[0]++; !f.files.refused(bad, refusal) {
		t.Error("of another content a refusal is no news")
	}
	f.files.settled()
	if s := f.Status()[1]; s.Failures != 2 || s.Error != "" || !s.Ready(time.Now()) {
		t.Errorf("with the old content back: %+v", s)
	}
	f.files.took(f.files.read())
	if s := f.Status()[1]; s.Failures != 2 || s.Ready(time.Now()) {
		t.Errorf("once the program has read a file that is gone: %+v", s)
	}
}

// TestNativeRefused: the real nginx is left with a key that is not its
// certificate's. The old pair is served, so the front is ready, and says what is
// wrong; once, however often it looks.
func TestNativeRefused(t *testing.T) {
	t.Parallel()
	judge.Find(t, "nginx")
	w := &world{t: t, state: t.TempDir()}
	at := func(name string) string { return filepath.Join(w.state, name) }
	w.lasting("kas", "kas.example.com", 60)
	w.lasting("other", "kas.example.com", 70)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	bind := free.Addr().String()
	if err := errors.Join(free.Close(), os.WriteFile(at("nginx.conf"), []byte(nginxTLS(w.state, bind)), 0o600)); err != nil {
		t.Fatal(err)
	}
	var log said
	h := host.Machine(slog.New(slog.NewTextHandler(&log, nil)))
	f, err := newNativeFront(t.Context(), h, native.Config{Kind: native.Nginx, Path: at("nginx.conf"), Binds: []string{bind}}, at("run"), nil,
		nativeFiles{paths: []string{at("kas.crt"), at("kas.key")}, drain: time.Minute,
			pairs: []certs.Served{{Pair: certs.Pair{Certificate: at("kas.crt"), Key: at("kas.key")}, Names: []string{"kas.example.com"}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	served := func() string {
		t.Helper()
		conn, err := tls.Dial("tcp", bind, &tls.Config{ServerName: "kas.example.com", InsecureSkipVerify: true}) //nolint:gosec // it is looked at, and signs itself
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].NotAfter.String()
	}
	ready := func() (int, string) {
		rec := httptest.NewRecorder()
		certs.Readiness(f.Status, time.Now)(rec, httptest.NewRequest(http.MethodGet, "/readiness", nil))
		return rec.Code, rec.Body.String()
	}
	if code, body := ready(); code != http.StatusOK || body != "" {
		t.Fatalf("at the start: %d %q", code, body)
	}
	old := served()
	put := func(from, to string) {
		t.Helper()
		data, err := os.ReadFile(at(from))
		if err == nil {
			err = os.WriteFile(at(to), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put("kas.key", "kept.key")
	put("other.key", "kas.key")
	for range 3 {
		if err := f.Refresh(t.Context()); err == nil {
			t.Fatal("nginx has taken a key that is not the certificate's")
		}
	}
	if got := served(); got != old {
		t.Errorf("a certificate until %s is served, want the old one until %s", got, old)
	}
	if code, body := ready(); code != http.StatusOK || !strings.Contains(body, certs.CodeRenewal) {
		t.Errorf("with a broken pair on disk: %d %q, want %d and %s", code, body, http.StatusOK, certs.CodeRenewal)
	}
	if s := f.Status()[0]; s.Failures != 1 {
		t.Errorf("%d failures of one content, want 1", s.Failures)
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
		t.Errorf("said %d times, want once:\n%s", n, log.String())
	}
	put("kept.key", "kas.key")
	if err := f.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
	if code, body := ready(); code != http.StatusOK || body != "" {
		t.Errorf("with the old key back: %d %q", code, body)
	}
	put("other.key", "kas.key")
	put("other.crt", "kas.crt")
	if err := f.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
	for end := time.Now().Add(20 * time.Second); served() == old; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the new pair is not served")
		}
	}
	if s := f.Status()[0]; s.Error != "" || s.NotAfter.String() == old {
		t.Errorf("after the renewal: %+v", s)
	}
}
