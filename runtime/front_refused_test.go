package runtime

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kasgen/internal/judge"
	"kasgen/runtime/certs"
	"kasgen/runtime/certs/pebble"
	"kasgen/runtime/certs/provision"
	"kasgen/runtime/host"
	"kasgen/runtime/native"
)

// TestNativeRefusesObtained: one process obtains a certificate and has the real
// nginx, whose own file is broken meanwhile. What nginx goes on with is what all
// tell of: the certs listener's readiness, the metrics and the findings.
func TestNativeRefusesObtained(t *testing.T) {
	t.Parallel()
	judge.Find(t, "nginx")
	state := t.TempDir()
	at := func(name string) string { return filepath.Join(state, name) }
	free := func() (string, int) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		return ln.Addr().String(), ln.Addr().(*net.TCPAddr).Port
	}
	bind, _ := free()
	web, webPort := free() // where the CA asks, too
	_, nobody := free()
	ca, err := pebble.Start(t.Context(), pebble.Options{HTTPPort: webPort, TLSPort: nobody, Validity: 90 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ca.Close(); err != nil {
			t.Error(err)
		}
	})
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Listener().Raw})))
	config, err := provision.Load("certs.yaml", fmt.Appendf(nil, `apiVersion: kasgen/v1
kind: Certificates
source: acme
acme: {directory: %q, caFile: %[2]s/ca.pem, keyType: ecdsa256, challenge: http-01, cache: {directory: %[2]s/cache}}
certificates:
  - {names: [kas.example.com], certificateFile: %[2]s/kas.crt, keyFile: %[2]s/kas.key}
observability: {listen: %q}
drain: 1s
`, ca.Directory(), state, web))
	if err != nil {
		t.Fatal(err)
	}
	h := host.Machine(slog.New(slog.NewTextHandler(t.Output(), nil)))
	r := &Running{log: h.Log}
	obtains, err := config.New(t.Context(), h, r.refresh, r.Status)
	if err != nil {
		t.Fatal(err)
	}
	good := nginxTLS(state, bind)
	bad := good + "and_what_nobody_knows on;\n"
	write("nginx.conf", good)
	front, err := newNativeFront(t.Context(), h, native.Config{Kind: native.Nginx, Path: at("nginx.conf"), Binds: []string{bind}}, at("run"), nil,
		nativeFiles{paths: []string{at("kas.crt"), at("kas.key")}, drain: time.Minute,
			pairs: []certs.Served{{Pair: certs.Pair{Certificate: at("kas.crt"), Key: at("kas.key")}, Names: []string{"kas.example.com"}}}})
	if err != nil {
		obtains.Close()
		t.Fatal(err)
	}
	t.Cleanup(front.Close)
	r.roles = []*role{{server: obtains, name: string(Certs)}, {server: front, name: "nginx"}}
	certs.Expose(h.Metrics, r.Status)
	served := func() time.Time {
		t.Helper()
		conn, err := tls.Dial("tcp", bind, &tls.Config{ServerName: "kas.example.com", InsecureSkipVerify: true}) //nolint:gosec // it is looked at, be it a placeholder
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		leaf := conn.ConnectionState().PeerCertificates[0]
		if certs.IsPlaceholder(leaf) {
			return time.Time{}
		}
		return leaf.NotAfter
	}
	ask := func(path string) (int, string) { t.Helper(); return get(t, "http://"+web+path) }
	await := func(what string, f func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("waited in vain for " + what)
			}
		}
	}
	// tells checks what all tell of, with nginx's own word where it refuses.
	tells := func(when string, code int, finding string) {
		t.Helper()
		st := r.Status()
		if len(st) != 1 || st[0].ID != "kas.example.com" {
			t.Fatalf("%s: %+v", when, st)
		}
		// A worker from before a reload may still take a connection.
		await(fmt.Sprintf("%s: the certificate of %+v to be served", when, st), func() bool { return served().Equal(st[0].NotAfter) })
		if got, body := ask("/readiness"); got != code || !strings.Contains(body, finding) || (finding != "") != strings.Contains(body, "and_what_nobody_knows") {
			t.Errorf("%s: /readiness is %d %q, want %d and %q", when, got, body, code, finding)
		}
		ready := fmt.Sprintf(`kasgen_certificate_ready{name="kas.example.com",source="acme"} %d`, map[int]int{http.StatusOK: 1, http.StatusServiceUnavailable: 0}[code])
		if _, body := ask("/metrics"); !strings.Contains(body, ready) || finding != "" && !strings.Contains(body, `kasgen_certificate_finding{code="`+finding+`"`) {
			t.Errorf("%s: no %q, or no finding %q in:\n%s", when, ready, finding, body)
		}
	}
	refused := func() bool { return front.Status()[0].Failures > 0 && r.Certificates()[0].Ready(time.Now()) }

	write("nginx.conf", bad)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- obtains.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	await("nginx to refuse the first certificate", refused)
	tells("with the first one refused", http.StatusServiceUnavailable, certs.CodeNone)

	repair := func() {
		t.Helper()
		write("nginx.conf", good)
		obtained := r.Certificates()[0].NotAfter
		if err := front.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := r.Status()[0].NotAfter; !got.Equal(obtained) {
			t.Errorf("until %s was obtained, and the status says %s", obtained, got)
		}
	}
	repair()
	tells("with nginx.conf repaired", http.StatusOK, "")

	old, failures := r.Status()[0].NotAfter, front.Status()[0].Failures
	await("a certificate that ends later", func() bool { return time.Now().After(old.Add(-90*24*time.Hour + 3*time.Second)) })
	write("nginx.conf", bad)
	if err := r.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	await("nginx to refuse the next one", func() bool { return front.Status()[0].Failures > failures })
	if next := r.Certificates()[0].NotAfter; !next.After(old) || !r.Status()[0].NotAfter.Equal(old) {
		t.Errorf("until %s was obtained after until %s, and the status is %+v", next, old, r.Status())
	}
	tells("with the next one refused", http.StatusOK, certs.CodeRenewal)
	repair()
	if err := errors.Join(front.Refresh(t.Context()), ctx.Err()); err != nil {
		t.Error(err)
	}
	tells("in the end", http.StatusOK, "")
}
