package omnibus_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/omnibus/omnibustest"
)

// TestImportServesTheSame imports instances and puts what is rendered of the
// import beside the gitlab.rb that was there: clients find the same names,
// listeners and certificates, kas listens where it did, and GitLab tells them the
// same addresses.
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
		"Let's Encrypt": {"17.11", "gitlab_kas_external_url 'wss://kas.gitlab.example.com'\nletsencrypt['enable'] = true\n" +
			"gitlab_kas_nginx['ssl_certificate'] = '/etc/gitlab/ssl/gitlab.example.com.crt'\ngitlab_kas_nginx['ssl_certificate_key'] = '/etc/gitlab/ssl/gitlab.example.com.key'\n"},
		"too old for its own vhost": {"17.11", "gitlab_kas_external_url 'wss://kas.gitlab.example.com'\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			const external = "external_url 'https://gitlab.example.com'\n"
			omnibustest.Write(t, m.at("etc/gitlab/gitlab.rb"), external+c.gitlabRb)
			before, err := omnibustest.Resolved(t, c.version, m.root)
			if err != nil {
				t.Fatal(err)
			}
			omnibustest.Model(t, m.root, c.version, before)
			was := served(t, m.root, before)
			settings := filepath.Join(t.TempDir(), "settings.json")
			omnibustest.Write(t, settings, before)
			// A user's own lines are on standard error, the file on standard output.
			text := m.kasgen(0, "import", "omnibus", "--settings", settings)
			text, _, _ = strings.Cut(text, "not kept:")
			b, said := omnibustest.Render(t, []byte(text), c.version)
			if b == nil {
				t.Fatalf("%s\n%s", said, text)
			}
			omnibustest.Place(t, m.root, b, external+c.gitlabRb+omnibustest.Line)
			after, err := omnibustest.Resolved(t, c.version, m.root)
			if err != nil {
				t.Fatal(err)
			}
			// Omnibus removes a vhost that is off.
			if err := errors.Join(os.RemoveAll(m.at("var/opt/gitlab/nginx/conf/service_conf")), os.RemoveAll(m.at("var/opt/gitlab/nginx/conf/gitlab-kas.conf"))); err != nil {
				t.Fatal(err)
			}
			omnibustest.Model(t, m.root, c.version, after)
			if d := cmp.Diff(was, served(t, m.root, after)); d != "" {
				t.Errorf("(-before +after):\n%s\n%s", d, text)
			}
		})
	}
}

var (
	serverText  = regexp.MustCompile(`(?ms)^server \{.*?^\}`)
	servedWords = regexp.MustCompile(`(?m)^\s*(listen|server_name|ssl_certificate|ssl_certificate_key) (.*);`)
)

// served is what clients meet: the servers of kas's name that end TLS, kas's
// listeners, and the addresses that GitLab tells.
func served(t *testing.T, root, node string) []string {
	t.Helper()
	var list []string
	for _, pattern := range []string{"var/opt/gitlab/nginx/conf/service_conf/gitlab-kas.conf", "var/opt/gitlab/nginx/conf/gitlab-kas.conf", "etc/gitlab/kasgen/vhosts/*.conf"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			for _, server := range serverText.FindAllString(omnibustest.Read(t, file), -1) {
				if !strings.Contains(server, "ssl_certificate") {
					continue
				}
				for _, w := range servedWords.FindAllStringSubmatch(server, -1) {
					value := strings.NewReplacer(" http2", "", "*:", "0.0.0.0:").Replace(w[2])
					list = append(list, w[1]+" "+value)
				}
			}
		}
	}
	var told struct {
		KAS struct {
			Agents string `json:"listen_address"`
			API    string `json:"kubernetes_api_listen_address"`
		} `json:"gitlab_kas"`
		Rails map[string]string `json:"gitlab_rails"`
	}
	if err := json.Unmarshal([]byte(node), &told); err != nil {
		t.Fatal(err)
	}
	usual := func(value, usual string) string {
		if value == "" {
			return usual
		}
		return value
	}
	list = append(list, "agents "+usual(told.KAS.Agents, "127.0.0.1:8150"), "api "+usual(told.KAS.API, "127.0.0.1:8154"),
		"told "+strings.TrimSuffix(told.Rails["gitlab_kas_external_url"], "/"), "told "+told.Rails["gitlab_kas_external_k8s_proxy_url"])
	slices.Sort(list)
	return list
}
