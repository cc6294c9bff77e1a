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
			registry := told["listen_addresses"] + ":" + told["listen_port"]
			if told["proxy_protocol"] == "true" {
				registry += " proxy_protocol"
			}
			roots := serve(t, program, address, vhost("gitlab", address+" proxy_protocol", "127.0.0.1")+vhost("registry", registry, told["real_ip_trusted_addresses"]))
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
					t.Errorf("%s: %q, want %q, with %q of\n%s", name, got, want, registry, out)
				}
			}
		})
	}
}

// TestHiddenAsTold has the real nginx serve kas beside a GitLab with an address for
// itself: by default GitLab answers for kas's name, and as the finding says kas does.
func TestHiddenAsTold(t *testing.T) {
	t.Parallel()
	program := judge.Find(t, "nginx")
	m, address := newMachine(t), omnibustest.Free(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	omnibustest.Certificate(t, m.at("var/lib/kasgen/tls"), "kas.gitlab.example.com")
	file := filepath.Join(t.TempDir(), "attributes.json")
	omnibustest.Write(t, file, `{"external_url": "https://gitlab.example.com:`+port+`", "nginx": {"listen_addresses": ["127.0.0.1"]}}`)
	reached := func(t *testing.T, listen string) (answer, fix string) {
		t.Helper()
		text := "apiVersion: kasgen/v1\ntopology: D\ngitlab: {url: 'https://gitlab.example.com:" + port + "'}\nnames: {kas: kas.gitlab.example.com}\n" + listen + "\n"
		_, out := m.run(m.binary, "omnibus", "reconfigure", "--check", "--attributes", file, "-f", m.spec(text))
		if found := regexp.MustCompile(`error: KAS5132[^\0]*?fix: write loadBalancer\.listen: \[(.*)\] in kasgen.yaml`).FindStringSubmatch(out); found != nil {
			fix = found[1]
		} else if strings.Contains(out, "error:") {
			t.Fatal(out)
		}
		b, said := omnibustest.Render(t, []byte(text), "18.11")
		if b == nil {
			t.Fatal(said)
		}
		var at []string
		for _, f := range b.Files {
			if found := regexp.MustCompile(`listen (\S+:` + port + `) ssl`).FindSubmatch(f.Data); found != nil {
				at = append(at, string(found[1]))
			}
		}
		if len(at) != 1 {
			t.Fatalf("kas listens on %q", at)
		}
		roots := serve(t, program, address, vhost("gitlab", address, "127.0.0.1")+vhost("kas", at[0], "127.0.0.1"))
		conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: "kas.example.com"})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return ask(t, conn, "kas.example.com", "GET", "/", ""), fix
	}
	listen := "'0.0.0.0:" + port + "'"
	for _, c := range []struct{ answer, fix string }{{"200 gitlab 127.0.0.1", "'" + address + "'"}, {"200 kas 127.0.0.1", ""}} {
		t.Run(c.answer, func(t *testing.T) { //nolint:paralleltest // each has what the one before was told
			answer, fix := reached(t, "loadBalancer: {listen: ["+listen+"]}")
			if answer != c.answer || fix != c.fix {
				t.Errorf("on %s: %q, want %q; the fix is %q", listen, answer, c.answer, fix)
			}
			listen = fix
		})
	}
}

// vhost answers with its name, and with the address that it takes for a client's.
func vhost(name, listen, trusted string) string {
	return fmt.Sprintf("server { listen %s ssl; server_name %s.example.com; set_real_ip_from %s; real_ip_header proxy_protocol; location / { return 200 \"%s $remote_addr\"; } }\n",
		listen, name, trusted, name)
}

// serve runs vhosts.
func serve(t *testing.T, program, address, vhosts string) *x509.CertPool {
	t.Helper()
	root := t.TempDir()
	certificates := filepath.Join(root, "tls")
	omnibustest.Certificate(t, certificates, "gitlab.example.com", "registry.example.com", "kas.example.com")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(omnibustest.Read(t, filepath.Join(certificates, "kas.crt"))))
	conf := "daemon off;\npid " + root + "/pid;\nevents {}\nhttp {\naccess_log off;\nssl_certificate " + certificates + "/kas.crt;\nssl_certificate_key " + certificates + "/kas.key;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		conf += fmt.Sprintf("%s_temp_path %s/%s;\n", kind, root, kind)
	}
	omnibustest.Write(t, filepath.Join(root, "var/opt/gitlab/nginx/conf/nginx.conf"), conf+vhosts+"}\n")
	start(t, program, root, address)
	return roots
}
