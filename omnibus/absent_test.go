package omnibus_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kasgen/omnibus/omnibustest"
)

// TestCertificateAbsent: a certificate that nobody has put there is said, until
// somebody has.
func TestCertificateAbsent(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for _, want := range []bool{true, false} {
		out := m.kasgen(0, "omnibus", "install", "-f", m.spec(hostSpec), "--yes", "--binary", m.binary)
		for _, name := range []string{"kas.crt", "kas.key"} {
			if said := strings.Contains(out, "KAS5110: /var/lib/kasgen/tls/"+name+" is not there"); said != want {
				t.Errorf("said of %s: %t\n%s", name, said, out)
			}
			omnibustest.Write(t, m.at("var/lib/kasgen/tls/"+name), "")
		}
	}
}

// TestLetsEncryptOff: Omnibus obtains no certificate then, and its nginx would not
// start without one.
func TestLetsEncryptOff(t *testing.T) {
	t.Parallel()
	for _, topology := range []string{"D", "packaged"} {
		t.Run(topology, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			said := func(settings string) bool {
				file := filepath.Join(t.TempDir(), "attributes.json")
				omnibustest.Write(t, file, settings)
				_, out := m.run(m.binary, "omnibus", "reconfigure", "--check", "--attributes", file,
					"-f", m.spec(strings.Replace(hostSpec, "topology: A", "topology: "+topology, 1)+"tls: {source: omnibus}\n"))
				return strings.Contains(out, "error: KAS5110: /etc/gitlab/ssl/gitlab.example.com.crt is not there")
			}
			for settings, want := range map[string]bool{
				`{"letsencrypt": {"enable": false}}`: true,
				`{"letsencrypt": {"enable": true}}`:  false,
				`{"letsencrypt": {}}`:                false,
			} {
				if said(settings) != want {
					t.Errorf("of %s: want %t", settings, want)
				}
			}
			omnibustest.Certificate(t, m.at("etc/gitlab/ssl"), "gitlab.example.com")
			for from, to := range map[string]string{"kas.crt": "gitlab.example.com.crt", "kas.key": "gitlab.example.com.key"} {
				if err := os.Rename(m.at("etc/gitlab/ssl/"+from), m.at("etc/gitlab/ssl/"+to)); err != nil {
					t.Fatal(err)
				}
			}
			if said(`{"letsencrypt": {"enable": false}}`) {
				t.Error("it is there")
			}
		})
	}
}
