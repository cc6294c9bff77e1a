package omnibus_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"kasgen/internal/judge"
	"kasgen/omnibus/omnibustest"
)

// TestNeighbourAsTold has the real nginx serve the registry beside GitLab, with
// the settings that the finding names: behind the balancer both names are reached,
// and see a client's address.
func TestNeighbourAsTold(t *testing.T) {
	t.Parallel()
	program := judge.Find(t, "nginx")
	for version, settings := range map[string]string{"18.11": "registry_nginx", "19.2": "registry['nginx']"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			m, address := newMachine(t), omnibustest.Free(t)
			file := filepath.Join(t.TempDir(), "attributes.json")
			omnibustest.Write(t, file, `{"registry_external_url": "https://registry.example.com"}`)
			_, out := m.run(m.binary, "omnibus", "reconfigure", "--check", "--gitlab-version", version, "--attributes", file,
				"-f", m.spec(hostSpec+"loadBalancer: {shareWithGitLab: {enabled: true, address: '"+address+"'}}\n"))
			told := map[string]string{"listen_addresses": "*", "real_ip_trusted_addresses": "127.0.0.2", "proxy_protocol": "false"}
			for _, s := range regexp.MustCompile(regexp.QuoteMeta(settings)+`\['(\w+)'\] = (\S+?),?(?: |\n|$)`).FindAllStringSubmatch(out, -1) {
				told[s[1]] = strings.Trim(s[2], "[']")
			}
			if told["listen_port"] == "" {
				t.Fatal(out)
			}
			roots, say := serveBoth(t, program, address, told)
			for _, name := range []string{"gitlab", "registry"} {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { conn.Close() })
				if _, err := io.WriteString(conn, "PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\n"); err != nil {
					t.Fatal(err)
				}
				over := tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: name + ".example.com"})
				if got, want := ask(t, over, name+".example.com", "GET", "/", ""), "200 "+name+" 192.0.2.7"; got != want {
					t.Errorf("%s: %q, want %q, with %q of\n%s", name, got, want, say, out)
				}
			}
		})
	}
}

// serveBoth runs GitLab's vhost as kasgen.rb moves it, and the registry's as it is
// told.
func serveBoth(t *testing.T, program, address string, told map[string]string) (roots *x509.CertPool, registry string) {
	t.Helper()
	root := t.TempDir()
	certificates := filepath.Join(root, "tls")
	omnibustest.Certificate(t, certificates, "gitlab.example.com", "registry.example.com")
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(omnibustest.Read(t, filepath.Join(certificates, "kas.crt"))))
	vhost := func(name, listen, trusted string) string {
		return fmt.Sprintf("server { listen %s ssl; server_name %s.example.com; set_real_ip_from %s; real_ip_header proxy_protocol; location / { return 200 \"%s $remote_addr\"; } }\n",
			listen, name, trusted, name)
	}
	registry = told["listen_addresses"] + ":" + told["listen_port"]
	if told["proxy_protocol"] == "true" {
		registry += " proxy_protocol"
	}
	conf := "daemon off;\npid " + root + "/pid;\nevents {}\nhttp {\naccess_log off;\nssl_certificate " + certificates + "/kas.crt;\nssl_certificate_key " + certificates + "/kas.key;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		conf += fmt.Sprintf("%s_temp_path %s/%s;\n", kind, root, kind)
	}
	conf += vhost("gitlab", address+" proxy_protocol", "127.0.0.1") + vhost("registry", registry, told["real_ip_trusted_addresses"]) + "}\n"
	omnibustest.Write(t, filepath.Join(root, "var/opt/gitlab/nginx/conf/nginx.conf"), conf)
	start(t, program, root, address)
	return roots, registry
}
