package omnibus_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kasgen/internal/judge"
	"kasgen/omnibus"
	"kasgen/omnibus/omnibustest"
)

// TestSettingsThatDoNotFit gives each command the settings that Omnibus worked
// with, as `gitlab-ctl show-config` prints them or as chef keeps them.
func TestSettingsThatDoNotFit(t *testing.T) {
	t.Parallel()
	secret := func(n int) string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat("s", n))) }
	for name, c := range map[string]struct {
		settings, spec string
		code           string // found; empty: nothing
	}{
		"nothing":                     {`{"gitlab_kas": {}}`, "topology: A", ""},
		"good secrets":                {`{"gitlab_kas": {"api_secret_key": "` + secret(32) + `", "websocket_token_secret_key": "` + secret(72) + `"}}`, "topology: A", ""},
		"short secret":                {`{"gitlab_kas": {"api_secret_key": "` + secret(31) + `"}}`, "topology: A", "KAS5101"},
		"no base64":                   {`{"gitlab_kas": {"private_api_secret_key": "!"}}`, "topology: A", "KAS5101"},
		"short token":                 {`{"gitlab_kas": {"websocket_token_secret_key": "` + secret(32) + `"}}`, "topology: A", "KAS5101"},
		"http for kubectl":            {`{"external_url": "https://gitlab.example.com", "gitlab_rails": {"gitlab_kas_external_k8s_proxy_url": "http://kas.gitlab.example.com/k8s-proxy/"}}`, "topology: A", "KAS5104"},
		"derived http":                {`{"external_url": "http://gitlab.example.com", "gitlab_rails": {"gitlab_kas_external_k8s_proxy_url": "http://gitlab.example.com/-/kubernetes-agent/k8s-proxy/"}}`, "topology: A", ""},
		"grpcs before 19.5":           {`{"external_url": "https://gitlab.example.com", "gitlab_kas_external_url": "grpcs://kas.gitlab.example.com"}`, "topology: packaged", "KAS5120"},
		"no scheme":                   {`{"external_url": "https://gitlab.example.com", "gitlab_kas_external_url": "kas.gitlab.example.com"}`, "topology: packaged", "KAS5120"},
		"agents are told":             {`{"external_url": "https://gitlab.example.com", "gitlab_kas_external_url": "grpcs://kas.gitlab.example.com"}`, "topology: A", ""},
		"no WebSocket":                {`{"external_url": "https://gitlab.example.com", "gitlab_kas_external_url": "wss://kas.gitlab.example.com", "gitlab_kas": {"listen_websocket": false}}`, "topology: packaged", "KAS5121"},
		"udp":                         {`{"gitlab_kas": {"internal_api_listen_network": "udp"}}`, "topology: A", "KAS5122"},
		"ftp":                         {`{"external_url": "ftp://gitlab.example.com"}`, "topology: A", "KAS5120"},
		"no key":                      {`{"gitlab_kas": {"private_api_certificate_file": "/c"}}`, "topology: A", "KAS5102"},
		"one pair of two":             {`{"gitlab_kas": {"certificate_file": "/c", "key_file": "/k"}}`, "topology: packaged", "KAS5102"},
		"both pairs":                  {`{"gitlab_kas": {"certificate_file": "/c", "key_file": "/k", "kubernetes_api_certificate_file": "/c", "kubernetes_api_key_file": "/k"}}`, "topology: A", "KAS5103"},
		"both, in its own":            {`{"gitlab_kas": {"certificate_file": "/c", "key_file": "/k", "kubernetes_api_certificate_file": "/c", "kubernetes_api_key_file": "/k"}}`, "topology: packaged", ""},
		"no nginx":                    {`{"gitlab": {"nginx": {"enable": false}}}`, "topology: D", "KAS5106"},
		"registry":                    {`{"gitlab": {"registry-external-url": "https://registry.example.com"}}`, "topology: A", "KAS5105"},
		"registry moved":              {`{"gitlab": {"registry-external-url": "https://registry.example.com"}, "registry_nginx": {"listen_port": 8443, "listen_addresses": ["127.0.0.1"], "proxy_protocol": true}}`, "topology: A", ""},
		"registry, every address":     {`{"registry_external_url": "https://registry.example.com", "registry_nginx": {"listen_port": 8443, "proxy_protocol": true}}`, "topology: A", "KAS5105"},
		"without a PROXY header":      {`{"registry_external_url": "https://registry.example.com", "registry_nginx": {"listen_port": 8443}}`, "topology: A\nloadBalancer: {shareWithGitLab: {proxyProtocol: none}}", ""},
		"and GitLab's one address":    {`{"nginx": {"listen_addresses": ["127.0.0.1"]}, "registry_external_url": "https://registry.example.com", "registry_nginx": {"listen_port": 8443}}`, "topology: A\nloadBalancer: {shareWithGitLab: {proxyProtocol: none}}", "KAS5105"},
		"registry, a port":            {`{"gitlab": {"registry-external-url": "https://registry.example.com:5050"}}`, "topology: A", ""},
		"registry, port 443":          {`{"registry_external_url": "https://registry.example.com:443"}`, "topology: A", "KAS5105"},
		"registry elsewhere":          {`{"registry_external_url": "https://registry.example.com", "registry": {"enable": false}, "registry_nginx": {"enable": false}}`, "topology: A", ""},
		"registry without its vhost":  {`{"registry_external_url": "https://registry.example.com", "registry": {"enable": true}, "registry_nginx": {"enable": false}}`, "topology: A", ""},
		"Pages":                       {`{"pages_external_url": "https://pages.example.com", "gitlab_pages": {"enable": true}, "pages_nginx": {"enable": true}}`, "topology: A", "KAS5105"},
		"Pages elsewhere":             {`{"pages_external_url": "https://pages.example.com", "gitlab_pages": {"enable": false}}`, "topology: B", ""},
		"mattermost elsewhere":        {`{"mattermost_external_url": "https://chat.example.com", "mattermost_nginx": {"enable": false}}`, "topology: A", ""},
		"mattermost":                  {`{"gitlab": {"mattermost-external-url": "https://chat.example.com"}}`, "topology: B", "KAS5105"},
		"mattermost moved":            {`{"mattermost_external_url": "https://chat.example.com", "mattermost_nginx": {"listen_port": 8443, "listen_addresses": ["127.0.0.1"], "proxy_protocol": true}}`, "topology: B", ""},
		"mattermost, another address": {`{"mattermost_external_url": "https://chat.example.com"}`, "topology: A\nloadBalancer: {listen: ['192.0.2.1:443']}", ""},
		"TLS ends before":             {`{"nginx": {"listen_https": false, "listen_port": 80}}`, "topology: A", "KAS5130: GitLab's nginx expects cleartext"},
		"and nothing is shared":       {`{"nginx": {"listen_https": false, "listen_port": 80}}`, "topology: A\nloadBalancer: {listen: ['192.0.2.1:443']}", ""},
		"another port":                {`{"external_url": "https://gitlab.example.com:9000"}`, "topology: B", "KAS5011"},
		"IPv6":                        {`{"nginx": {"listen_addresses": ["*", "[::]"]}}`, "topology: A", "write loadBalancer.listen: ['0.0.0.0:443', '[::]:443'] and"},
		"IPv6 of both":                {`{"nginx": {"listen_addresses": ["*", "[::]"]}}`, "topology: A\nloadBalancer: {listen: ['0.0.0.0:443', '[::]:443'], shareWithGitLab: {enabled: true}}", ""},
		"an address of GitLab's":      {`{"nginx": {"listen_addresses": ["10.0.0.5"]}}`, "topology: D", "KAS5132"},
		"and of both":                 {`{"nginx": {"listen_addresses": ["10.0.0.5"]}}`, "topology: packaged\nloadBalancer: {listen: ['10.0.0.5:443']}", ""},
		"and another of kas's":        {`{"nginx": {"listen_addresses": ["10.0.0.5"], "redirect_http_to_https": true}}`, "topology: packaged\nloadBalancer: {listen: ['192.0.2.1:443']}", ""},
		"and in its own vhost":        {`{"nginx": {"listen_addresses": ["10.0.0.5"]}}`, "topology: packaged", "write loadBalancer.listen: ['10.0.0.5:443'] in"},
		"and of port 80":              {`{"nginx": {"listen_addresses": ["10.0.0.5"], "redirect_http_to_https": true}}`, "topology: D\nloadBalancer: {listen: ['10.0.0.5:443']}", "write http.listen: ['10.0.0.5:80'] in"},
		"and of port 80 of both":      {`{"nginx": {"listen_addresses": ["10.0.0.5"], "redirect_http_to_https": true}}`, "topology: D\nloadBalancer: {listen: ['10.0.0.5:443']}\nhttp: {listen: ['10.0.0.5:80']}", ""},
		"and port 80 nobody's":        {`{"nginx": {"listen_addresses": ["10.0.0.5"]}}`, "topology: D\nloadBalancer: {listen: ['10.0.0.5:443']}", ""},
		"beside every address":        {`{"nginx": {"listen_addresses": ["*", "10.0.0.5"]}}`, "topology: D", "take 10.0.0.5 out of nginx['listen_addresses']"},
		"another port than kas's":     {`{"external_url": "https://gitlab.example.com:9000", "nginx": {"listen_addresses": ["10.0.0.5"]}}`, "topology: D", ""},
		"of the gRPC name":            {`{"nginx": {"listen_addresses": ["10.0.0.5"]}}`, "topology: D\nloadBalancer: {listen: ['0.0.0.0:9500']}\ngrpcBalancer: {address: own, listen: ['0.0.0.0:443']}", "grpcBalancer.listen: ['10.0.0.5:443']"},
		"IPv6 beside D":               {`{"nginx": {"listen_addresses": ["*", "[::]"]}}`, "topology: D", "warning: KAS5131"},
		"IPv6 beside packaged":        {`{"nginx": {"listen_addresses": ["*", "[::]"]}}`, "topology: packaged", "write loadBalancer.listen: ['0.0.0.0:443', '[::]:443'] in"},
		"IPv6 of both, packaged":      {`{"nginx": {"listen_addresses": ["*", "[::]"], "redirect_http_to_https": true}}`, "topology: packaged\nloadBalancer: {listen: ['0.0.0.0:443', '[::]:443']}\nhttp: {listen: ['0.0.0.0:80', '[::]:80']}", ""},
		"one of IPv6":                 {`{"nginx": {"listen_addresses": ["*", "2001:db8::5"]}}`, "topology: D\nloadBalancer: {listen: ['0.0.0.0:443', '[::]:443']}", "write loadBalancer.listen: ['0.0.0.0:443', '[2001:db8::5]:443'] in"},
		"more by a command":           {`{"gitlab_kas": {"extra_config_command": "/usr/bin/more"}}`, "topology: A", "KAS5108"},
		"chef's own": {`{"name": "n", "default": {"gitlab_kas": {"api_secret_key": "` + secret(32) + `"}}, "normal": {"gitlab_kas": {"api_secret_key": "` + secret(3) + `"}}, "automatic": {}}`,
			"topology: A", "KAS5101"},
		"show-config, with a log": {"[2026-11-23T10:00:00] INFO: {started}\n{\"gitlab_kas\": {\"api_secret_key\": \"" + secret(3) + "\"}}\n", "topology: A", "KAS5101"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			omnibustest.Certificate(t, m.at("var/lib/kasgen/tls"), "kas.gitlab.example.com")
			file := filepath.Join(t.TempDir(), "attributes.json")
			omnibustest.Write(t, file, c.settings)
			_, out := m.run(m.binary, "omnibus", "reconfigure", "--check", "--attributes", file,
				"-f", m.spec("apiVersion: kasgen/v1\n"+c.spec+"\ngitlab: {url: https://gitlab.example.com}\nnames: {kas: kas.gitlab.example.com}\n"))
			if c.code != "" && !strings.Contains(out, c.code) || c.code == "" && strings.Contains(out, "KAS51") {
				t.Errorf("want %q: %s", c.code, out)
			}
			for n := range 80 {
				if n > 2 && strings.Contains(out, secret(n)) {
					t.Errorf("a secret is printed: %s", out)
				}
			}
		})
	}
}

// TestOverruled: a line of gitlab.rb below ours wins, and status says so.
func TestOverruled(t *testing.T) {
	t.Parallel()
	omnibustest.Ruby(t)
	m := newMachine(t)
	m.kasgen(0, "omnibus", "install", "-f", m.spec(hostSpec), "--yes", "--binary", m.binary)
	rb := omnibustest.Read(t, m.at("etc/gitlab/gitlab.rb"))
	omnibustest.Write(t, m.at("etc/gitlab/gitlab.rb"), rb+"gitlab_kas['listen_websocket'] = false\ngitlab_rails['gitlab_kas_external_k8s_proxy_url'] = 'http://kas.gitlab.example.com/k8s-proxy/'\n")
	refused := m.ctl(8, "reconfigure")
	for _, want := range []string{"KAS5104: gitlab_rails['gitlab_kas_external_k8s_proxy_url'] is an http URL", "nothing was changed"} {
		if !strings.Contains(refused, want) {
			t.Errorf("%q is not in %s", want, refused)
		}
	}
	env := m.env
	m.env = append(env, "KASGEN_SKIP=1")
	m.ctl(0, "reconfigure")
	m.env = env
	m.kasgen(0, "omnibus", "reconfigure", "--hook", "post") // what was left out
	out := m.kasgen(2, "omnibus", "status")
	for _, want := range []string{"KAS5107: gitlab_kas['listen_websocket'] is not", "KAS5104", "in effect     no: see below"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
}

// TestOverruledAroundChef: a line that wins over ours is said before chef runs
// and after, whether or not anything else has changed.
func TestOverruledAroundChef(t *testing.T) {
	t.Parallel()
	omnibustest.Ruby(t)
	m := newMachine(t)
	m.kasgen(0, "omnibus", "install", "-f", m.spec(hostSpec), "--yes", "--binary", m.binary)
	m.ctl(0, "reconfigure")
	rb := omnibustest.Read(t, m.at("etc/gitlab/gitlab.rb"))
	omnibustest.Write(t, m.at("etc/gitlab/gitlab.rb"), rb+"gitlab_kas['listen_websocket'] = false\n")
	const said = "KAS5107: gitlab_kas['listen_websocket'] is not"
	for _, hook := range []string{"pre", "post"} {
		if hook == "post" {
			env := m.env
			m.env = append(env, "KASGEN_SKIP=1")
			m.ctl(0, "reconfigure") // chef alone
			m.env = env
		}
		if out := m.kasgen(0, "omnibus", "reconfigure", "--hook", hook); strings.Count(out, said) != 1 {
			t.Errorf("in the hook %s it is not said, or not once: %s", hook, out)
		}
	}
}

// TestHandEdits: what people change in the files is never replaced unasked, and
// stops no reconfigure: the files stay as they are.
func TestHandEdits(t *testing.T) {
	t.Parallel()
	omnibustest.Ruby(t)
	m := newMachine(t)
	m.kasgen(0, "omnibus", "install", "-f", m.spec(hostSpec), "--yes", "--binary", m.binary)
	m.ctl(0, "reconfigure")
	path := m.at("etc/gitlab/kasgen/haproxy/haproxy.cfg")
	mine := omnibustest.Read(t, path) + "# mine\n"
	omnibustest.Write(t, path, mine)
	if out := m.kasgen(1, "omnibus", "reconfigure"); !strings.Contains(out, "KAS1601") {
		t.Error(out)
	}
	if out := m.ctl(0, "reconfigure"); !strings.Contains(out, "KAS1601") || omnibustest.Read(t, path) != mine {
		t.Error(out)
	}
	m.kasgen(0, "omnibus", "reconfigure", "--force")
	if omnibustest.Read(t, path) == mine {
		t.Error("--force did not replace it")
	}
}

// TestNginxRefuses: what the package's nginx refuses is taken back.
func TestNginxRefuses(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.kasgen(0, "omnibus", "install", "-f", m.spec(hostSpec), "--yes", "--binary", m.binary)
	for _, name := range []string{"kas.crt", "kas.key"} {
		omnibustest.Write(t, m.at("var/lib/kasgen/tls/"+name), "")
	}
	before := m.tree()
	omnibustest.Write(t, m.at("var/opt/gitlab/nginx/conf/nginx.conf"), "")
	nginx := m.at("opt/gitlab/embedded/sbin/nginx")
	omnibustest.Write(t, nginx, "#!/bin/sh\necho 'nginx: [emerg] no such thing in "+m.at("etc/gitlab/kasgen/vhosts/kas.conf")+":3' >&2\nexit 1\n")
	if err := os.Chmod(nginx, 0o755); err != nil {
		t.Fatal(err)
	}
	omnibustest.Write(t, m.at("etc/gitlab/kasgen.yaml"), strings.Replace(hostSpec, "topology: A", "topology: D", 1))
	if out := m.kasgen(1, "omnibus", "reconfigure"); !strings.Contains(out, "KAS5109") {
		t.Error(out)
	}
	after := m.tree()
	for name, text := range before {
		if name != "/etc/gitlab/kasgen.yaml" && !strings.Contains(name, ".generations") && after[name] != text {
			t.Errorf("%s is not as it was", name)
		}
	}
}

// TestDetect: where the cookbook has something or lacks it, that counts.
func TestDetect(t *testing.T) {
	t.Parallel()
	const cookbooks = "opt/gitlab/embedded/cookbooks/"
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"version alone":        {map[string]string{"opt/gitlab/embedded/service/gitlab-rails/VERSION": "18.7.1-ee\n"}, "{18.7 true true false false false}"},
		"manifest":             {map[string]string{"opt/gitlab/version-manifest.txt": "gitlab-ce 19.2.0-ce.0\n\nComponent\n"}, "{19.2 true true true true false}"},
		"limits brought early": {map[string]string{"opt/gitlab/embedded/service/gitlab-rails/VERSION": "18.5.0", cookbooks + "gitlab/templates/default/nginx-gitlab-kas.conf.erb": "http2 on; grpc_pass x; k8s_proxy_read_timeout"}, "{18.5 true true true false false}"},
		"native not merged":    {map[string]string{"opt/gitlab/embedded/service/gitlab-rails/VERSION": "19.5.0", cookbooks + "gitlab-kas/libraries/gitlab_kas.rb": "external_url grpcs raise \"must be 'ws' or 'wss'\""}, "{19.5 true true true true false}"},
		"keys not nested yet":  {map[string]string{"opt/gitlab/embedded/service/gitlab-rails/VERSION": "19.2.0", cookbooks + "gitlab-kas/attributes/default.rb": "default['gitlab_kas_nginx']['enable'] = false"}, "{19.2 true true true false false}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for path, text := range c.files {
				omnibustest.Write(t, filepath.Join(root, path), text)
			}
			pkg, err := omnibus.Detect(root)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(pkg); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	if _, err := omnibus.Detect(t.TempDir()); err == nil {
		t.Error("a package was found where there is none")
	}
}

// TestUnits has systemd read the units that install places.
func TestUnits(t *testing.T) {
	t.Parallel()
	analyze := judge.Find(t, "systemd-analyze")
	for name, c := range map[string]struct {
		spec  string
		units int
	}{
		"A":           {hostSpec, 4}, // edge, front and its socket, target
		"A with ACME": {hostSpec + "tls: {source: acme, acme: {email: me@example.com}}\n", 4},
		"B":           {strings.Replace(hostSpec, "topology: A", "topology: B", 1), 4},
		"D with HAProxy and ACME": {strings.Replace(hostSpec, "topology: A", "topology: D\nloadBalancer: {listen: ['192.0.2.2:443']}\ngrpcBalancer: {kind: haproxy, listen: ['192.0.2.1:443']}", 1) +
			"tls: {source: acme, acme: {email: me@example.com}}\n", 6}, // certificates, front and its socket, target, and what has nginx reload
		"D": {strings.Replace(hostSpec, "topology: A", "topology: D", 1), 3}, // what has nginx reload, and target
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			for _, name := range []string{"kas.crt", "kas.key"} {
				omnibustest.Write(t, m.at("var/lib/kasgen/tls/"+name), "it is only looked for")
			}
			m.kasgen(0, "omnibus", "install", "-f", m.spec(c.spec), "--yes", "--binary", m.binary)
			units, err := filepath.Glob(m.at("etc/systemd/system/kasgen*.[pst]*"))
			if err != nil {
				t.Fatal(err)
			}
			var list []string
			read := t.TempDir()
			for _, u := range units {
				if strings.HasSuffix(u, ".conf") {
					continue
				}
				text, err := os.ReadFile(u)
				if err != nil {
					t.Fatal(err)
				}
				// Commands have to be there, and GitLab's is in the folder that stands
				// for the machine.
				text = bytes.ReplaceAll(text, []byte("=/opt/gitlab/bin/"), []byte("="+m.at("opt/gitlab/bin/")+"/"))
				list = append(list, filepath.Join(read, filepath.Base(u)))
				if err := os.WriteFile(list[len(list)-1], text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if len(list) != c.units {
				t.Errorf("units: %v", list)
			}
			out, err := exec.CommandContext(t.Context(), analyze, append([]string{"verify", "--man=no", "--recursive-errors=no"}, list...)...).CombinedOutput()
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
