package omnibus_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kasgen/internal/judge"
	"kasgen/omnibus/omnibustest"
)

// hostOf is a machine with a golden's kasgen.yaml and gitlab.rb, for Debian's
// nginx.
func hostOf(t *testing.T, spec, gitlabRb, version string, port func(string) string) string {
	t.Helper()
	root := omnibustest.Machine(t, spec, gitlabRb, version)
	omnibustest.Adapt(t, root, port)
	return root
}

// TestNginxAccepts has the real nginx read the vhosts of each golden together
// with the model of Omnibus's own.
func TestNginxAccepts(t *testing.T) {
	t.Parallel()
	program := judge.Find(t, "nginx")
	paths, err := filepath.Glob("testdata/render/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if filepath.Base(path) == "refused.txtar" {
			continue // nothing is rendered
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			in := map[string]string{}
			for _, f := range a.Files {
				in[f.Name] = string(f.Data)
			}
			mine := strings.ReplaceAll(in["gitlab.rb"], "/etc/gitlab/nginx/sites-enabled/", "/etc/none/")
			root := hostOf(t, in["kasgen.yaml"], mine, strings.TrimPrefix(strings.SplitN(string(a.Comment), "\n", 2)[0], "GitLab "),
				func(port string) string { return "127.0.0.1:2" + fmt.Sprintf("%04s", port) })
			accepts(t, program, root)
		})
	}
}

// accepts has nginx read all that a machine's nginx would, and holds it to no
// warning either.
func accepts(t *testing.T, program, root string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, "-t", "-p", root, "-e", "stderr", "-c", filepath.Join(root, "var/opt/gitlab/nginx/conf/nginx.conf")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), "conflicting server name") || strings.Contains(string(out), "redefined") {
		t.Errorf("nginx warns: %s", out)
	}
}

// TestOwnNameRepaired has the real nginx read the lines that docs/omnibus.md gives
// for kas on GitLab's own name: they are of the server whose location passes gRPC,
// and the location says nothing else.
func TestOwnNameRepaired(t *testing.T) {
	t.Parallel()
	program := judge.Find(t, "nginx")
	omnibustest.Ruby(t)
	lines := regexp.MustCompile(`(?m)^(?:nginx|gitlab_rails\['nginx'\])\['custom_gitlab_server_config'\] = .*$`).FindAllString(omnibustest.Read(t, "../docs/omnibus.md"), -1)
	if len(lines) != 2 {
		t.Fatalf("the document has %q", lines)
	}
	for version, line := range map[string]string{"18.7": lines[0], "19.1": lines[0], "19.2": lines[1], "19.5": lines[1]} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			omnibustest.Write(t, filepath.Join(root, "etc/gitlab/gitlab.rb"), "external_url 'https://gitlab.example.com'\n"+line+"\n")
			settings, err := omnibustest.Resolved(t, version, root)
			if err != nil {
				t.Fatal(err)
			}
			omnibustest.Model(t, root, version, settings)
			omnibustest.Adapt(t, root, func(port string) string { return "127.0.0.1:2" + fmt.Sprintf("%04s", port) })
			out, err := exec.CommandContext(t.Context(), program, "-T", "-p", root, "-e", "stderr", "-c", filepath.Join(root, "var/opt/gitlab/nginx/conf/nginx.conf")).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			_, vhost, found := strings.Cut(string(out), "gitlab-rails.conf:\n")
			vhost, _, _ = strings.Cut(vhost, "\n# configuration file ")
			location := regexp.MustCompile(`(?s)location /gitlab\.agent\. \{[^}]*grpc_pass[^}]*\}`).FindString(vhost)
			if !found || location == "" || strings.Contains(location, "timeout") {
				t.Fatalf("GitLab's vhost has no location for gRPC that inherits limits: %q", location)
			}
			for _, name := range []string{"grpc_read_timeout", "grpc_send_timeout", "client_body_timeout"} {
				if !strings.Contains(vhost, name+" 2h;") {
					t.Errorf("%s is not there:\n%s", name, vhost)
				}
			}
		})
	}
}

// TestOnNginx has the real nginx serve the vhosts beside the model of Omnibus's,
// and holds them to what clients need: bodies of any size by gRPC, upgrades, the
// prefix taken off, and GitLab's own name left alone.
func TestOnNginx(t *testing.T) {
	t.Parallel()
	program := judge.Find(t, "nginx")
	omnibustest.Ruby(t)
	for name, c := range map[string]struct {
		topology, version string
		grpc              string // name for gRPC
		spdy              string
	}{
		"D":                           {"topology: D", "18.7", "kas-grpc.gitlab.example.com", "400"},
		"packaged":                    {"topology: packaged", "18.11", "kas.gitlab.example.com", "101 api POST /api/v1/namespaces/n/pods/p/exec"},
		"packaged, old":               {"topology: packaged", "17.11", "kas.gitlab.example.com", "101 api POST /api/v1/namespaces/n/pods/p/exec"},
		"packaged, newer":             {"topology: packaged", "19.5", "kas.gitlab.example.com", "101 api POST /api/v1/namespaces/n/pods/p/exec"},
		"packaged, gRPC only, before": {"topology: packaged\nagents: {websocket: remove}", "19.4", "kas.gitlab.example.com", "101 api POST /api/v1/namespaces/n/pods/p/exec"},
		"packaged, gRPC only":         {"topology: packaged\nagents: {websocket: remove}", "19.5", "kas.gitlab.example.com", "101 api POST /api/v1/namespaces/n/pods/p/exec"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent, api := kas(t, "agent"), kas(t, "api")
			ports := map[string]string{"443": omnibustest.Free(t), "80": omnibustest.Free(t), "8060": omnibustest.Free(t)}
			root := hostOf(t, "apiVersion: kasgen/v1\n"+c.topology+"\ngitlab: {url: https://gitlab.example.com}\nnames: {kas: kas.gitlab.example.com}\n"+
				"kas: {listen: {agent: '"+agent+"', kubernetesAPI: '"+api+"'}}\n", "", c.version, func(port string) string { return ports[port] })
			for _, folder := range []string{"acme", "www"} {
				omnibustest.Write(t, filepath.Join(root, folder, ".well-known/acme-challenge", folder), "of "+folder)
			}
			start(t, program, root, ports["443"])
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM([]byte(omnibustest.Read(t, filepath.Join(root, "tls/kas.crt"))))
			dial := func(server string) net.Conn {
				conn, err := tls.Dial("tcp", ports["443"], &tls.Config{RootCAs: roots, ServerName: server})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { conn.Close() })
				return conn
			}
			say := func(server, method, path, upgrade string) string {
				return ask(t, dial(server), server, method, path, upgrade)
			}
			websocket := "101 agent GET /"
			if strings.Contains(c.topology, "remove") {
				websocket = "410 kas: agents over WebSocket are not served here any more; set the agent's kas-address to grpcs://kas.gitlab.example.com"
			}
			for _, tc := range []struct{ what, got, want string }{
				{"an agent's WebSocket", say("kas.gitlab.example.com", "GET", "/", "websocket"), websocket},
				{"and on another path", say("kas.gitlab.example.com", "GET", "/k8s-proxyx", "websocket"), strings.TrimSuffix(websocket, "/")},
				{"kubectl", say("kas.gitlab.example.com", "GET", "/k8s-proxy/api/v1/pods", ""), "200 api GET /api/v1/pods"},
				{"kubectl by WebSocket", say("kas.gitlab.example.com", "GET", "/k8s-proxy/api/v1/namespaces/n/pods/p/exec", "websocket"), "101 api GET /api/v1/namespaces/n/pods/p/exec"},
				{"kubectl by SPDY", say("kas.gitlab.example.com", "POST", "/k8s-proxy/api/v1/namespaces/n/pods/p/exec", "SPDY/3.1"), c.spdy},
				{"GitLab", say("gitlab.example.com", "GET", "/", ""), "200 gitlab 127.0.0.1"},
			} {
				if !strings.HasPrefix(tc.got, tc.want) {
					t.Errorf("%s: %q, want %q", tc.what, tc.got, tc.want)
				}
			}
			if d := cmp.Diff("200 agent 3145728", big3(t, ports["443"], c.grpc, roots)); d != "" {
				t.Errorf("3 MiB by gRPC: %s", d)
			}
			for path, want := range map[string]string{
				"/.well-known/acme-challenge/acme": "200 of acme", "/.well-known/acme-challenge/www": "200 of www", "/x": "301 ",
			} {
				conn, err := net.Dial("tcp", ports["80"])
				if err != nil {
					t.Fatal(err)
				}
				if got := ask(t, conn, "kas.gitlab.example.com", "GET", path, ""); !strings.HasPrefix(got, want) {
					t.Errorf("%s: %q, want %q", path, got, want)
				}
				conn.Close()
			}
		})
	}
}

// kas stands in for one of kas's listeners, in both protocols in cleartext.
func kas(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := r.Header.Get("Upgrade"); token != "" {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", token)
			w.Header().Set("Seen", name+" "+r.Method+" "+r.URL.Path)
			w.WriteHeader(http.StatusSwitchingProtocols)
			return
		}
		n, _ := io.Copy(io.Discard, r.Body)
		if r.ProtoMajor == 2 {
			w.Header().Set("Trailer", "Grpc-Status")
			fmt.Fprintf(w, "%s %d", name, n)
			w.Header().Set("Grpc-Status", "0")
			return
		}
		fmt.Fprintf(w, "%s %s %s", name, r.Method, r.URL.Path)
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// ask sends one request over HTTP/1.1 and gives the status and what came.
func ask(t *testing.T, conn net.Conn, host, method, path, upgrade string) string {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	head := method + " " + path + " HTTP/1.1\r\nHost: " + host + "\r\n"
	if upgrade != "" {
		head += "Connection: Upgrade\r\nUpgrade: " + upgrade + "\r\n"
	}
	if method == "POST" {
		head += "Content-Length: 0\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Seen"))
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, body)
}

// big3 sends 3 MiB to a method of kas's over HTTP/2.
func big3(t *testing.T, address, host string, roots *x509.CertPool) string {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: host}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+address+"/gitlab.agent.agent_configuration.rpc.AgentConfiguration/GetConfiguration", bytes.NewReader(make([]byte, 3<<20)))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("TE", "trailers")
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, body)
}

// start runs nginx until the test ends.
func start(t *testing.T, program, root, address string) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(program, "-p", root, "-e", "stderr", "-c", filepath.Join(root, "var/opt/gitlab/nginx/conf/nginx.conf"))
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // ended by a signal
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		<-ended
		if t.Failed() {
			t.Logf("nginx:\n%s", out.String())
		}
	})
	for begun := time.Now(); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("nginx has ended: %s", out.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatal("nginx does not listen")
		}
	}
}
