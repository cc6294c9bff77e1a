package scenarios

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kasgen/generator/spec"
	"kasgen/internal/judge"
	"kasgen/runtime"
	"kasgen/runtime/certs/streamtest"
	"kasgen/runtime/state"
	"kasgen/scenarios/loopback"
)

// site is a certificate and its key as an operator provides them: two files.
type site struct {
	t    *testing.T
	dir  string
	pool *x509.CertPool
}

func newSite(t *testing.T) *site {
	s := &site{t: t, dir: t.TempDir(), pool: x509.NewCertPool()}
	s.renew()
	root, err := os.ReadFile(s.path("ca.crt"))
	if err != nil || !s.pool.AppendCertsFromPEM(root) {
		t.Fatal(err)
	}
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// renew makes another pair and puts it in place of the one that is there.
func (s *site) renew() {
	s.t.Helper()
	made := []state.Item{{Path: s.path("ca.crt"), Kind: state.CA}, {Path: s.path("next.crt"), Kind: state.Certificate, Names: []string{"kas.example.com"}}}
	if _, err := state.Ensure(made); err != nil {
		s.t.Fatal(err)
	}
	err := errors.Join(os.Remove(s.path("next.pem")), os.Rename(s.path("next.key"), s.path("site.key")), os.Rename(s.path("next.crt"), s.path("site.crt")))
	if err != nil {
		s.t.Fatal(err)
	}
}

// TestFilesUnderLoad: where HAProxy or nginx end TLS with an operator's files,
// what takes their place is shown to new clients, HAProxy's combined file is
// made of the two, and no stream ends.
func TestFilesUnderLoad(t *testing.T) { // not parallel: it is a load by itself
	judge.Find(t, "nginx")
	judge.Find(t, "haproxy")
	for name, tt := range map[string]struct {
		text     string
		file     string // that leads to kas
		combined bool
	}{
		"A, HAProxy ends TLS": {"topology: A\nloadBalancer: {tls: terminate}\n", "edge/edge.yaml", true},
		"A, nginx ends TLS":   {"topology: A\nloadBalancer: {kind: nginx-stream, tls: terminate}\n", "edge/edge.yaml", false},
		"D":                   {"topology: D\n", "nginx/nginx.conf", false},
	} {
		for _, native := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, native %t", name, native), func(t *testing.T) {
				t.Parallel()
				files := newSite(t)
				a := &apart{t: t, dir: filepath.Join(t.TempDir(), "bundle")}
				text := fmt.Sprintf("apiVersion: kasgen/v1\ngitlab: {url: 'https://example.com'}\nnames: {kas: kas.example.com}\ntls: {source: files, certificateFile: %q, keyFile: %q}\n"+
					"nginx: {streamModule: /usr/lib/nginx/modules/ngx_stream_module.so}\ntimeouts: {drain: %v}\n%s", files.path("site.crt"), files.path("site.key"), drain, tt.text)
				s, findings := spec.Read("kasgen.yaml", []byte(text), loopback.Below(t.TempDir()))
				if s == nil {
					t.Fatal(findings)
				}
				var ports loopback.Ports
				t.Cleanup(func() { _ = ports.Close() })
				if err := ports.Move(s); err != nil {
					t.Fatal(err)
				}
				a.spec, a.roots = s, files.pool
				a.write()
				edit(t, a.dir, tt.file, s.KAS.Listen.KubernetesAPI, streamtest.Echo(t))
				if native {
					a.native()
				} else {
					a.whole()
					a.run(runtime.All)
				}
				last := a.await(nil)
				info, err := os.Stat(s.TLS.CombinedFile)
				if there := err == nil; there != tt.combined || there && info.Mode().Perm() != 0o600 || !there && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the combined file: %v, %v", info, err)
				}
				const n = 50
				all := streamtest.Open(t, n, s.LoadBalancer.Listen[0], "/k8s-proxy/exec",
					&tls.Config{ServerName: "kas.example.com", RootCAs: files.pool, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12})
				files.renew()
				a.await(last)
				// A limit of the front's for what lives on after a reload would be
				// the drain time.
				<-time.After(drain + time.Second)
				lines := all.Lines()
				if lost := all.Close(); len(lost) != 0 || lines < n {
					t.Errorf("%d streams lost, %d lines: %v", len(lost), lines, errors.Join(lost...))
				}
				if tt.combined {
					cert, errCert := os.ReadFile(files.path("site.crt"))
					both, err := os.ReadFile(s.TLS.CombinedFile)
					if err := errors.Join(errCert, err); err != nil || !bytes.HasPrefix(both, cert) {
						t.Errorf("the combined file has another certificate, %v", err)
					}
				}
			})
		}
	}
}
