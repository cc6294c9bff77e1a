package omnibus_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/omnibus"
	"kasgen/omnibus/importer"
	"kasgen/omnibus/omnibustest"
)

// TestImportServesTheSame imports instances and puts what is rendered of the
// import beside the gitlab.rb that was there: nginx says the same about kas's
// name but for the defects that are repaired, kas listens where it did, and GitLab
// tells clients the same addresses.
func TestImportServesTheSame(t *testing.T) {
	t.Parallel()
	omnibustest.Ruby(t)
	for name, c := range map[string]struct{ version, gitlabRb string }{
		"its own vhost": {"18.11", "gitlab_kas_external_url 'wss://kas.gitlab.example.com'\n"},
		"own files, nested": {"19.2", "gitlab_kas_external_url 'wss://kas.gitlab.example.com'\ngitlab_kas['nginx']['ssl_certificate'] = '/etc/gitlab/ssl/mine.crt'\n" +
			"gitlab_kas['nginx']['ssl_certificate_key'] = '/etc/gitlab/ssl/mine.key'\ngitlab_kas['listen_address'] = '127.0.0.1:9150'\n"},
		"an address": {"18.11", "gitlab_kas_external_url 'wss://kas.gitlab.example.com'\ngitlab_kas_nginx['listen_addresses'] = ['192.0.2.1']\n"},
		"gRPC only": {"19.5", "gitlab_kas_external_url 'grpcs://kas.gitlab.example.com'\ngitlab_kas['listen_websocket'] = false\n" +
			"gitlab_rails['gitlab_kas_external_k8s_proxy_url'] = 'https://kas.gitlab.example.com/k8s-proxy/'\n"},
		"two names": {"18.11", "gitlab_kas_external_url 'wss://kas.gitlab.example.com'\ngitlab_rails['gitlab_kas_external_url'] = 'grpcs://kas-grpc.gitlab.example.com'\n" +
			"gitlab_kas_nginx['enable'] = true\ngitlab_kas_nginx['host'] = 'kas.gitlab.example.com kas-grpc.gitlab.example.com'\ngitlab_kas_nginx['https'] = true\ngitlab_kas_nginx['port'] = 443\n" +
			"gitlab_kas_nginx['ssl_certificate'] = '/etc/gitlab/ssl/kas.crt'\ngitlab_kas_nginx['ssl_certificate_key'] = '/etc/gitlab/ssl/kas.key'\n"},
		"Let's Encrypt": {"17.11", "gitlab_kas_external_url 'wss://kas.gitlab.example.com'\nletsencrypt['enable'] = true\n" +
			"gitlab_kas_nginx['redirect_http_to_https'] = true\n" + // as Omnibus has it then
			"gitlab_kas_nginx['ssl_certificate'] = '/etc/gitlab/ssl/gitlab.example.com.crt'\ngitlab_kas_nginx['ssl_certificate_key'] = '/etc/gitlab/ssl/gitlab.example.com.key'\n"},
		"too old for its own vhost": {"17.11", "gitlab_kas_external_url 'wss://kas.gitlab.example.com'\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			importedServes(t, c.version, c.gitlabRb)
		})
	}
}

// TestImportTellsWhatDiffers does the same with a vhost of kas's that is told
// everything that it can be: what is other behind the import is a defect that is
// repaired, or the import has told it.
func TestImportTellsWhatDiffers(t *testing.T) {
	t.Parallel()
	omnibustest.Ruby(t)
	for version, keys := range map[string]string{"17.11": "gitlab_kas_nginx", "18.11": "gitlab_kas_nginx", "19.2": "gitlab_kas['nginx']"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			text := "gitlab_kas_external_url 'wss://kas.gitlab.example.com'\n"
			for _, line := range []string{
				"['ssl_client_certificate'] = '/etc/gitlab/ssl/ca.crt'", "['ssl_verify_client'] = 'on'", "['ssl_verify_depth'] = '2'", "['ssl_protocols'] = 'TLSv1.3'",
				"['ssl_ciphers'] = 'ECDHE-RSA-AES256-GCM-SHA384'", "['ssl_prefer_server_ciphers'] = 'on'", "['ssl_ecdh_curve'] = 'secp384r1'",
				"['ssl_session_cache'] = 'shared:MINE:1m'", "['ssl_session_timeout'] = '5m'", "['ssl_session_tickets'] = 'on'", "['http2_enabled'] = false",
				"['hsts_max_age'] = 300", "['hsts_include_subdomains'] = true", "['proxy_set_headers'] = { 'X-Mine' => '1', 'X-Real-IP' => nil, 'Host' => 'other' }",
				"['real_ip_trusted_addresses'] = ['10.0.0.0/8']", "['real_ip_header'] = 'X-Real-IP'", "['proxy_custom_buffer_size'] = '8k'", "['error_log_level'] = 'warn'",
				"['redirect_http_to_https'] = true", "['custom_gitlab_server_config'] = 'deny 192.0.2.7;'",
			} {
				text += keys + line + "\n"
			}
			lost := importedServes(t, version, text)
			i := slices.IndexFunc(lost, func(l importer.Lost) bool { return l.Key == keys+"['ssl_verify_client']" })
			if i < 0 || !lost[i].Warning {
				t.Errorf("nothing warns that clients are no longer asked for a certificate: %+v", lost)
			}
		})
	}
}

// importedServes imports an instance of a gitlab.rb, renders that, and compares
// what clients meet before and after, but for what is told as lost.
func importedServes(t *testing.T, version, gitlabRb string) []importer.Lost {
	t.Helper()
	m := newMachine(t)
	const external, name = "external_url 'https://gitlab.example.com'\n", "kas.gitlab.example.com"
	omnibustest.Write(t, m.at("etc/gitlab/gitlab.rb"), external+gitlabRb)
	before, err := omnibustest.Resolved(t, version, m.root)
	if err != nil {
		t.Fatal(err)
	}
	omnibustest.Model(t, m.root, version, before)
	grpc := name
	if strings.Contains(gitlabRb, "grpcs://kas-grpc.") {
		grpc = "kas-grpc.gitlab.example.com"
	}
	was, wasTold := stated(t, m.root, name, grpc), told(t, before)
	if was["agents ssl_certificate"] == "" {
		t.Fatal("there is no vhost to begin with")
	}
	settings := filepath.Join(t.TempDir(), "settings.json")
	omnibustest.Write(t, settings, before)
	var imported struct {
		Spec string          `json:"kasgenYAML"`
		Lost []importer.Lost `json:"lost"`
	}
	if err := json.Unmarshal([]byte(m.kasgen(0, "import", "omnibus", "--settings", settings, "--format", "json")), &imported); err != nil {
		t.Fatal(err)
	}
	b, said := omnibustest.Render(t, []byte(imported.Spec), version)
	if b == nil {
		t.Fatalf("%s\n%s", said, imported.Spec)
	}
	omnibustest.Place(t, m.root, b, external+gitlabRb+omnibustest.Line)
	after, err := omnibustest.Resolved(t, version, m.root)
	if err != nil {
		t.Fatal(err)
	}
	// Omnibus removes a vhost that is off.
	if err := errors.Join(os.RemoveAll(m.at("var/opt/gitlab/nginx/conf/service_conf")), os.RemoveAll(m.at("var/opt/gitlab/nginx/conf/gitlab-kas.conf"))); err != nil {
		t.Fatal(err)
	}
	omnibustest.Model(t, m.root, version, after)
	unsaid := imported.Lost
	if v, err := omnibus.ParseVersion(version); err != nil {
		t.Fatal(err)
	} else if omnibus.Of(v).Limits && strings.Contains(imported.Spec, "topology: packaged\n") {
		// Omnibus's vhost stays, and with it what is told to stay with it.
		unsaid = slices.DeleteFunc(slices.Clone(unsaid), func(l importer.Lost) bool { return strings.HasPrefix(l.Fix, "nothing where the vhost stays Omnibus's") })
	}
	for _, d := range unexplained(was, stated(t, m.root, name, grpc), unsaid) {
		t.Errorf("nobody was told of %s", d)
	}
	warned := slices.ContainsFunc(imported.Lost, func(l importer.Lost) bool { return l.Warning && l.Key == "gitlab_rails['gitlab_kas_external_url']" })
	if d := cmp.Diff(wasTold, told(t, after)); d != "" && !warned {
		t.Errorf("(-before +after):\n%s\n%s", d, imported.Spec)
	}
	return imported.Lost
}

// told is where kas listens, and the addresses that GitLab tells.
func told(t *testing.T, node string) []string {
	t.Helper()
	var settings struct {
		KAS struct {
			Agents string `json:"listen_address"`
			API    string `json:"kubernetes_api_listen_address"`
		} `json:"gitlab_kas"`
		Rails map[string]string `json:"gitlab_rails"`
	}
	if err := json.Unmarshal([]byte(node), &settings); err != nil {
		t.Fatal(err)
	}
	usual := func(value, usual string) string {
		if value == "" {
			return usual
		}
		return value
	}
	return []string{"agents " + usual(settings.KAS.Agents, "127.0.0.1:8150"), "api " + usual(settings.KAS.API, "127.0.0.1:8154"),
		"told " + strings.TrimSuffix(settings.Rails["gitlab_kas_external_url"], "/"), "told " + settings.Rails["gitlab_kas_external_k8s_proxy_url"]}
}
