package scenarios

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kasgen/generator"
	"kasgen/generator/spec"
	"kasgen/internal/cli"
	"kasgen/runtime"
	"kasgen/runtime/certs/pebble"
	"kasgen/runtime/host"
	"kasgen/scenarios/loopback"
)

// apart is a topology whose roles run as processes of their own would.
type apart struct {
	t    *testing.T
	spec *spec.Spec
	ca   *pebble.Server // nil: certificates are files of somebody else's
	dir  string

	roots *x509.CertPool // of clients
}

func newApart(t *testing.T, text string) *apart {
	t.Helper()
	a := &apart{t: t, dir: filepath.Join(t.TempDir(), "bundle")}
	s, findings := spec.Read("kasgen.yaml", []byte("apiVersion: kasgen/v1\ngitlab: {url: 'https://example.com'}\nnames: {kas: kas.example.com}\ntls: {source: acme}\n"+text), loopback.Below(t.TempDir()))
	if s == nil {
		t.Fatal(findings)
	}
	var ports loopback.Ports
	t.Cleanup(func() { _ = ports.Close() })
	if err := ports.Move(s); err != nil {
		t.Fatal(err)
	}
	a.spec = s
	var err error
	if a.ca, err = pebble.Start(t.Context(), pebble.Options{HTTPPort: a.port(s.HTTP.Listen[0]), TLSPort: a.port(s.LoadBalancer.Listen[0]), Validity: 90 * 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.ca.Close(); err != nil {
			t.Error(err)
		}
	})
	s.TLS.ACME.Directory, a.roots = a.ca.Directory(), a.ca.Roots()
	a.write()
	return a
}

func (a *apart) write() {
	a.t.Helper()
	b, err := generator.Render(a.spec)
	if err == nil {
		_, err = b.Write(a.dir, false)
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *apart) port(address string) int {
	a.t.Helper()
	_, text, err := net.SplitHostPort(address)
	port, convErr := strconv.Atoi(text)
	if err != nil || convErr != nil {
		a.t.Fatal(address, err, convErr)
	}
	return port
}

func (a *apart) host() *host.Host {
	h := host.Machine(slog.New(slog.DiscardHandler))
	if a.ca != nil {
		h.Roots = a.ca.Front()
	}
	return h
}

// run runs one role until the test ends.
func (a *apart) run(role runtime.Role) (*runtime.Running, *host.Host) {
	a.t.Helper()
	b, err := runtime.Read(a.dir, role, runtime.Memory)
	if err != nil {
		a.t.Fatal(err)
	}
	h := a.host()
	r, err := b.Start(a.t.Context(), h, h, "test")
	if err != nil {
		a.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(a.t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx) }()
	a.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			a.t.Error(err)
		}
	})
	return r, h
}

// reload reads the bundle again, as SIGHUP does.
func (a *apart) reload(r *runtime.Running, h *host.Host, role runtime.Role) runtime.Change {
	a.t.Helper()
	b, err := runtime.Read(a.dir, role, runtime.Memory)
	if err != nil {
		a.t.Fatal(err)
	}
	c, err := r.Reload(a.t.Context(), b, h, h)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// await waits for the front to show a certificate of the CA, other than before.
func (a *apart) await(before *x509.Certificate) *x509.Certificate {
	a.t.Helper()
	last := error(nil)
	// A balancer that started first has found the edge down, so that the first
	// challenge fails; the next attempt is some seconds later.
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) { // between two looks
		c, err := tls.Dial("tcp", a.spec.LoadBalancer.Listen[0], &tls.Config{ServerName: "kas.example.com", RootCAs: a.roots, MinVersion: tls.VersionTLS12})
		if last = err; err != nil {
			continue
		}
		leaf := c.ConnectionState().PeerCertificates[0]
		c.Close()
		if !leaf.Equal(before) {
			return leaf
		}
	}
	a.t.Fatal("no new certificate at the front: ", last)
	return nil
}

func (a *apart) ready() int {
	a.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(fmt.Sprintf("http://%s/readiness", a.spec.TLS.ACME.Observability))
	if err != nil {
		a.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// TestRolesApart has the certificates obtained in one process and TLS ended in
// another one, which sees the files change by itself.
func TestRolesApart(t *testing.T) {
	t.Parallel()
	a := newApart(t, "topology: D\n")
	role, h := a.run(runtime.Certs)
	a.run(runtime.Front)
	first := a.await(nil)
	if got := a.ready(); got != http.StatusOK {
		t.Error(got)
	}
	if d := cmp.Diff([]string{"certs"}, a.reload(role, h, runtime.Certs).Kept); d != "" {
		t.Error(d)
	}
	a.spec.TLS.ACME.Email = "ops@example.com"
	a.write()
	if d := cmp.Diff([]string{"certs"}, a.reload(role, h, runtime.Certs).Made); d != "" {
		t.Error(d)
	}
	if got := a.ready(); got != http.StatusOK {
		t.Error("after a reload: ", got)
	}
	if err := role.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.await(first)
	if a.ca.Orders() != 2 {
		t.Errorf("%d orders", a.ca.Orders())
	}
}

// TestEdgeObtains has an edge by itself obtain what it ends TLS with, behind a
// balancer in another process.
func TestEdgeObtains(t *testing.T) {
	t.Parallel()
	a := newApart(t, "topology: A\n")
	a.run(runtime.Front)
	edge, h := a.run(runtime.Edge)
	first := a.await(nil)
	if c := a.reload(edge, h, runtime.Edge); len(c.Made) > 0 {
		t.Errorf("%v are made anew because a certificate was obtained", c.Made)
	}
	a.spec.TLS.ACME.KeyType = spec.ECDSA384
	a.write()
	c := a.reload(edge, h, runtime.Edge)
	slices.Sort(c.Made)
	if d := cmp.Diff([]string{"certs", "edge"}, c.Made); d != "" {
		t.Error(d)
	}
	if err := edge.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.await(first)
}

// TestCertificateServices: certificates have a service of their own, before the
// front that reads them, unless the edge obtains them.
func TestCertificateServices(t *testing.T) {
	t.Parallel()
	for topology, want := range map[string]struct {
		services []string
		binds    string // of the service that obtains
	}{
		"A": {[]string{"edge", "front", "kas"}, "edge"},
		"B": {[]string{"edge", "front", "kas"}, "edge"},
		"D": {[]string{"certs", "front", "kas"}, "certs"},
	} {
		dir := bundleOf(t, "topology: "+topology+"\ntls: {source: acme, certificateFile: /etc/kas/kas.crt}\n")
		units := t.TempDir()
		var out, errs bytes.Buffer
		streams := cli.IO{Out: &out, Err: &errs}
		if code := cli.Run(t.Context(), cli.Root(streams, runtime.Commands(streams)...), []string{"units", dir, "-o", units}); code != cli.Done {
			t.Fatal(code, errs.String())
		}
		var services []string
		found, err := filepath.Glob(filepath.Join(units, "*.service"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "kasgen-"), ".service")
			services = append(services, name)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if writes := strings.Contains(string(text), "\nReadWritePaths=-/etc/kas\n"); writes != (name == want.binds) {
				t.Errorf("%s: %s writes certificates: %v", topology, name, writes)
			}
			if name == "front" && !strings.Contains(string(text), " kasgen-"+want.binds+".service") {
				t.Errorf("%s: the front is not after who writes its certificates\n%s", topology, text)
			}
		}
		if d := cmp.Diff(want.services, services); d != "" {
			t.Errorf("%s: %s", topology, d)
		}
	}
}

// TestStrangers: nobody obtains a certificate for a name that is not served, and
// a role without a file is refused.
func TestStrangers(t *testing.T) {
	t.Parallel()
	dir := bundleOf(t, "topology: D\ntls: {source: acme}\n")
	edit(t, dir, "certs/certs.yaml", "- kas-grpc.example.com", "- other.example.com")
	for role, want := range map[string]string{
		"certs": "certs.yaml:19:9: error: KAS1910: certificates[0].names[1] is \"other.example.com\"",
		"edge":  "KAS1910",
	} {
		var out, errs bytes.Buffer
		streams := cli.IO{Out: &out, Err: &errs}
		code := cli.Run(t.Context(), cli.Root(streams, runtime.Commands(streams)...), []string{"run", dir, "--check", "--role", role})
		if code != cli.Failure || !strings.Contains(out.String()+errs.String(), want) {
			t.Errorf("%s: %d\n%s%s", role, code, out.String(), errs.String())
		}
	}
	if _, err := runtime.Read(rendered(t), runtime.Certs); err == nil || !strings.Contains(err.Error(), "holds no file for the role certs") {
		t.Error(err)
	}
}
