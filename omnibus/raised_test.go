package omnibus_test

import (
	"strings"
	"testing"

	"kasgen/omnibus/omnibustest"
)

// TestOmnibusRaises: what the stand-in of Omnibus raises at, in a reconfigure and
// in show-config alike, is refused before chef, by its key and without a value.
func TestOmnibusRaises(t *testing.T) {
	t.Parallel()
	omnibustest.Ruby(t)
	for name, c := range map[string]struct {
		version, topology string
		line              string // below the one that reads our keys
		code, key         string
		value             string // that nobody is to read
	}{
		"grpcs before 19.5":      {"18.11", "packaged", "gitlab_kas_external_url 'grpcs://hidden.example.com'", "KAS5120", "gitlab_kas_external_url", "hidden"},
		"grpc in 19.5":           {"19.5", "packaged", "gitlab_kas_external_url 'grpc://hidden.example.com'", "KAS5120", "gitlab_kas_external_url", "hidden"},
		"no scheme":              {"18.11", "packaged", "gitlab_kas_external_url 'hidden.example.com'", "KAS5120", "gitlab_kas_external_url", "hidden"},
		"a short secret":         {"18.11", "A", "gitlab_kas['api_secret_key'] = 'c2hvcnQ='", "KAS5101", "gitlab_kas['api_secret_key']", "c2hvcnQ"},
		"a short token":          {"18.11", "D", "gitlab_kas['websocket_token_secret_key'] = 'c2hvcnQ='", "KAS5101", "gitlab_kas['websocket_token_secret_key']", "c2hvcnQ"},
		"no base64":              {"18.11", "A", "gitlab_kas['api_secret_key'] = 'hidden!'", "KAS5101", "gitlab_kas['api_secret_key']", "hidden"},
		"no WebSocket":           {"18.11", "packaged", "gitlab_kas['listen_websocket'] = false", "KAS5121", "gitlab_kas['listen_websocket']", ""},
		"udp":                    {"18.11", "B", "gitlab_kas['internal_api_listen_network'] = 'udp'", "KAS5122", "gitlab_kas['internal_api_listen_network']", "udp"},
		"half a pair":            {"18.11", "A", "gitlab_kas['private_api_certificate_file'] = '/hidden'", "KAS5102", "gitlab_kas['private_api_certificate_file']", "hidden"},
		"an unknown service":     {"18.11", "A", "gitlab_kass['enable'] = 'hidden'", "KAS5123", "gitlab_kass", "hidden"},
		"an unknown nested key":  {"18.11", "A", "gitlab_kas['listen_adress'] = 'hidden'", "KAS5123", "gitlab_kas['listen_adress']", "hidden"},
		"a scheme of GitLab's":   {"18.11", "packaged", "external_url 'ftp://hidden.example.com'", "KAS5120", "external_url", "hidden"},
		"keys of another branch": {"18.11", "A", "gitlab_kas['nginx']['enable'] = 'hidden'", "KAS5123", "gitlab_kas['nginx']", "hidden"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			omnibustest.Write(t, m.at("opt/gitlab/embedded/service/gitlab-rails/VERSION"), c.version+".0-ee\n")
			m.env = append(m.env, "KASGEN_TEST_VERSION="+c.version)
			omnibustest.Certificate(t, m.at("var/lib/kasgen/tls"), "kas.gitlab.example.com")
			m.kasgen(0, "omnibus", "install", "-f", m.spec(strings.Replace(hostSpec, "topology: A", "topology: "+c.topology, 1)), "--yes", "--binary", m.binary)
			m.ctl(0, "reconfigure")
			rb := omnibustest.Read(t, m.at("etc/gitlab/gitlab.rb"))
			omnibustest.Write(t, m.at("etc/gitlab/gitlab.rb"), rb+c.line+"\n")
			out := m.ctl(8, "reconfigure")
			for _, want := range []string{"error: " + c.code + ": ", c.key, "fix: ", "reconfigure is stopped"} {
				if !strings.Contains(out, want) {
					t.Errorf("%q is not in %s", want, out)
				}
			}
			if strings.Contains(out, "does not say what Omnibus's settings are now") || c.value != "" && strings.Contains(out, c.value) {
				t.Errorf("it prints a value, or does not know: %s", out)
			}
			omnibustest.Write(t, m.at("etc/gitlab/gitlab.rb"), rb)
			m.ctl(0, "reconfigure")
		})
	}
}

// TestOmnibusRaisesUnknown: what nobody here knows stops nothing that Omnibus
// does not stop itself.
func TestOmnibusRaisesUnknown(t *testing.T) {
	t.Parallel()
	omnibustest.Ruby(t)
	m := newMachine(t)
	m.kasgen(0, "omnibus", "install", "-f", m.spec(hostSpec), "--yes", "--binary", m.binary)
	m.ctl(0, "reconfigure")
	rb := omnibustest.Read(t, m.at("etc/gitlab/gitlab.rb"))
	omnibustest.Write(t, m.at("etc/gitlab/gitlab.rb"), rb+"raise 'of hidden reasons'\n")
	// Chef's own end says it.
	if out := m.ctl(1, "reconfigure"); !strings.Contains(out, "does not say what Omnibus's settings are now") || strings.Contains(out, "reconfigure is stopped") {
		t.Error(out)
	}
	if out := m.kasgen(0, "omnibus", "reconfigure", "--hook", "pre"); strings.Contains(out, "hidden") || !strings.Contains(out, "does not say what Omnibus's settings are now") {
		t.Error(out)
	}
}

// TestAWayOut: what Omnibus raises at with the keys of before is no reason to
// refuse new ones with which it does not.
func TestAWayOut(t *testing.T) {
	t.Parallel()
	omnibustest.Ruby(t)
	m := newMachine(t)
	omnibustest.Certificate(t, m.at("var/lib/kasgen/tls"), "kas.gitlab.example.com")
	packaged := strings.Replace(hostSpec, "topology: A", "topology: packaged", 1)
	m.kasgen(0, "omnibus", "install", "-f", m.spec(packaged), "--yes", "--binary", m.binary)
	m.ctl(0, "reconfigure")
	rb := omnibustest.Read(t, m.at("etc/gitlab/gitlab.rb"))
	omnibustest.Write(t, m.at("etc/gitlab/gitlab.rb"), rb+"gitlab_kas_external_url 'grpcs://kas.gitlab.example.com'\n")
	m.ctl(8, "reconfigure")
	omnibustest.Write(t, m.at("etc/gitlab/kasgen.yaml"), packaged+"agents: {websocket: remove}\n")
	m.ctl(0, "reconfigure")
}
