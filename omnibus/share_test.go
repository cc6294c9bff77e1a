package omnibus_test

import (
	"path/filepath"
	"strings"
	"testing"

	"kasgen/omnibus/omnibustest"
)

// TestSharing: GitLab's nginx gives its port up only where the TCP balancer can
// pass GitLab's name on, and what cannot work is refused.
func TestSharing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		gitlab, balancer string
		code             string // found; empty: it is rendered
		shared           bool
	}{
		"https on 443":              {"https://gitlab.example.com", "", "", true},
		"and written":               {"https://gitlab.example.com:443", "", "", true},
		"another port":              {"https://gitlab.example.com:9000", "", "", false},
		"http":                      {"http://gitlab.example.com", "", "", false},
		"another port, shared":      {"https://gitlab.example.com:9000", "{shareWithGitLab: {enabled: true}}", "KAS5011", false},
		"http, shared":              {"http://gitlab.example.com", "{shareWithGitLab: {enabled: true}}", "KAS5011", false},
		"the same other port":       {"https://gitlab.example.com:9000", "{listen: ['0.0.0.0:9000'], shareWithGitLab: {enabled: true}}", "", true},
		"another port, not shared":  {"https://gitlab.example.com:9000", "{shareWithGitLab: {enabled: false}}", "", false},
		"443 of both, not shared":   {"https://gitlab.example.com", "{shareWithGitLab: {enabled: false}}", "KAS5006", false},
		"9000 of both, not shared":  {"https://gitlab.example.com:9000", "{listen: ['0.0.0.0:9000']}", "KAS5006", false},
		"an address, nothing taken": {"https://gitlab.example.com", "{listen: ['192.0.2.1:443']}", "", false},
	} {
		for _, topology := range []string{"A", "B"} {
			t.Run(name+", "+topology, func(t *testing.T) {
				t.Parallel()
				text := "apiVersion: kasgen/v1\ntopology: " + topology + "\ngitlab: {url: '" + c.gitlab + "'}\nnames: {kas: kas.gitlab.example.com}\n"
				if c.balancer != "" {
					text += "loadBalancer: " + c.balancer + "\n"
				}
				b, said := omnibustest.Render(t, []byte(text), "18.11")
				if c.code != "" {
					if b != nil || !strings.Contains(said, "error: "+c.code) {
						t.Errorf("%s is not found: %s", c.code, said)
					}
					return
				}
				if b == nil {
					t.Fatal(said)
				}
				for _, f := range b.Files {
					if f.Path == "kasgen.rb" && strings.Contains(string(f.Data), "nginx['listen_port'] = 8443") != c.shared {
						t.Errorf("shared: want %t\n%s", c.shared, f.Data)
					}
				}
			})
		}
	}
}

// TestCleartextOfBothPlaces: from 19.2 on GitLab's vhost has its keys below the
// service, and the old ones still count where those say nothing.
func TestCleartextOfBothPlaces(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		settings, key string
	}{
		"old":  {`{"nginx": {"listen_https": false}}`, "nginx['listen_https']"},
		"new":  {`{"gitlab_rails": {"nginx": {"listen_https": false}}}`, "gitlab_rails['nginx']['listen_https']"},
		"both": {`{"nginx": {"listen_https": false}, "gitlab_rails": {"nginx": {"listen_https": true}}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			file := filepath.Join(t.TempDir(), "attributes.json")
			omnibustest.Write(t, file, c.settings)
			_, out := m.run(m.binary, "omnibus", "reconfigure", "--check", "--gitlab-version", "19.2", "--attributes", file, "-f", m.spec(hostSpec))
			if strings.Contains(out, "KAS5130") != (c.key != "") {
				t.Errorf("of %q: %s", c.key, out)
			}
		})
	}
}

// TestTLSOfBothPlaces: Omnibus's own vhost speaks TLS to a kas that ends it, and
// kasgen's, which takes its place in an older package, does not.
func TestTLSOfBothPlaces(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "attributes.json")
	omnibustest.Write(t, file, `{"gitlab_kas": {"certificate_file": "/c", "key_file": "/k", "kubernetes_api_certificate_file": "/c", "kubernetes_api_key_file": "/k"}}`)
	for version, refused := range map[string]bool{"18.5": true, "18.10": true, "18.11": false, "19.2": false} {
		m := newMachine(t)
		omnibustest.Certificate(t, m.at("var/lib/kasgen/tls"), "kas.gitlab.example.com")
		_, out := m.run(m.binary, "omnibus", "reconfigure", "--check", "--gitlab-version", version, "--attributes", file, "-f", m.spec(named("packaged", 22)))
		if strings.Contains(out, "error: KAS5103") != refused {
			t.Errorf("in %s: want %t: %s", version, refused, out)
		}
	}
}

// TestIPv6OfPort80: a balancer that listens on IPv6 has the redirect beside it.
func TestIPv6OfPort80(t *testing.T) {
	t.Parallel()
	b, said := omnibustest.Render(t, []byte(hostSpec+"loadBalancer: {listen: ['0.0.0.0:443', '[::]:443'], shareWithGitLab: {enabled: true}}\n"), "18.11")
	if b == nil {
		t.Fatal(said)
	}
	for _, f := range b.Files {
		if f.Path == "vhosts/kas.conf" && !strings.Contains(string(f.Data), "listen [::]:80") {
			t.Error(string(f.Data))
		}
	}
}

// TestNeighbourAlone: where GitLab has another port and nothing is shared, others
// of its vhosts may still have the balancer's.
func TestNeighbourAlone(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	file := filepath.Join(t.TempDir(), "attributes.json")
	omnibustest.Write(t, file, `{"mattermost_external_url": "https://chat.example.com"}`)
	spec := strings.Replace(hostSpec, "https://gitlab.example.com", "'https://gitlab.example.com:9000'", 1)
	for listen, taken := range map[string]bool{"": true, "loadBalancer: {listen: ['192.0.2.1:443']}\n": false} {
		_, out := m.run(m.binary, "omnibus", "reconfigure", "--check", "--attributes", file, "-f", m.spec(spec+listen))
		if strings.Contains(out, "KAS5105") != taken || taken && !strings.Contains(out, "mattermost_nginx['listen_addresses']") {
			t.Errorf("%q: %s", listen, out)
		}
	}
}

// TestOccupied: gitlab.url may lead to GitLab by another way than people take, and
// then says nothing of the port that GitLab's nginx has.
func TestOccupied(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	inside := strings.Replace(hostSpec, "https://gitlab.example.com", "'http://127.0.0.1:8080'", 1)
	for settings, taken := range map[string]bool{
		`{"external_url": "https://gitlab.example.com"}`:                                 true,
		`{"external_url": "https://gitlab.example.com", "nginx": {"listen_port": 8443}}`: false,
		`{"external_url": "http://gitlab.example.com"}`:                                  false,
	} {
		file := filepath.Join(t.TempDir(), "attributes.json")
		omnibustest.Write(t, file, settings)
		_, out := m.run(m.binary, "omnibus", "reconfigure", "--check", "--attributes", file, "-f", m.spec(inside))
		if strings.Contains(out, "error: KAS5006") != taken {
			t.Errorf("%s: want %t: %s", settings, taken, out)
		}
	}
}
