package nginx

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/judge"
	"kasgen/internal/nginxconf"
	"kasgen/runtime/balancer/balancertest"
)

// omnibus is the package's configuration, written out to a directory, with
// custom_gitlab_server_config.
func omnibus(t *testing.T, custom string, replace ...string) *web {
	t.Helper()
	w := &web{binds: map[string]string{"BIND0": balancertest.FreePort(t), "BIND1": balancertest.FreePort(t)}}
	dir := t.TempDir()
	chmodUp(t, dir)
	acme := filepath.Join(dir, "www")
	if err := os.MkdirAll(filepath.Join(acme, ".well-known/acme-challenge"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(acme, ".well-known/acme-challenge/token"), []byte("thumbprint"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("token", filepath.Join(acme, ".well-known/acme-challenge/link")); err != nil {
		t.Fatal(err)
	}
	all := strings.NewReplacer(append(replace, "BIND0", w.binds["BIND0"], "BIND1", w.binds["BIND1"], "HTTP2", " http2", "CUSTOM", custom, "ACME", acme, "LOG", filepath.Join(dir, "log"), "PID", filepath.Join(dir, "pid"), "proxy_cache keys", filepath.Join(dir, "cache")+" keys")...)
	for _, name := range []string{"nginx.conf", "mime.types", "service_conf/gitlab-kas.conf"} {
		text, err := os.ReadFile(filepath.Join("testdata/omnibus", name))
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(all.Replace(string(text))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w.text = filepath.Join(dir, "nginx.conf")
	return w
}

// fromFile runs a file with its includes.
func fromFile(t testing.TB, file string) func(bind string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Load(file, data, nginxconf.Source{ReadFile: os.ReadFile, Glob: filepath.Glob})
	if err != nil {
		t.Fatal(err)
	}
	return balancertest.Serve(t, c.New)
}

func nativeFile(t testing.TB, file string) func(bind string) string {
	t.Helper()
	return balancertest.Start(t, judge.Find(t, "nginx"), "-p", filepath.Dir(file), "-c", file, "-g", "daemon off;")
}

// repair is what kasgen puts into custom_gitlab_server_config.
const repair = "client_max_body_size 0; client_body_timeout 2h; grpc_read_timeout 2h; grpc_send_timeout 2h;"

// TestOmnibus shows the defects of the package's vhost, and that they are gone
// with the repair, on nginx and on the embedded role.
func TestOmnibus(t *testing.T) {
	t.Parallel()
	replace, roots := pems(t, 1)
	replace = append(replace, "AGENT", origin(t), "API", origin(t), "GRPC", grpcOrigin(t))
	for _, tt := range []struct {
		name, custom string
		want         []string
	}{
		{"as it is", "", []string{
			"2 MiB to k8s-proxy: 413", "less than 1 MiB of gRPC: 200 900000 bytes 0", "2 MiB of gRPC: 200, cut",
		}},
		// The default of 60 s by the same directive, so that a test can wait.
		{"with a short limit for silence", "grpc_read_timeout 500ms;", []string{
			"2 MiB to k8s-proxy: 413", "less than 1 MiB of gRPC: 200 900000 bytes 0", "2 MiB of gRPC: 200, cut", "silence in gRPC: 200, cut",
		}},
		{"with another short limit for silence", "client_body_timeout 500ms;", []string{
			"2 MiB to k8s-proxy: 413", "less than 1 MiB of gRPC: 200 900000 bytes 0", "2 MiB of gRPC: 200, cut", "silence in gRPC: 200, cut",
		}},
		{"repaired", repair, []string{
			"2 MiB to k8s-proxy: 200", "less than 1 MiB of gRPC: 200 900000 bytes 0", "2 MiB of gRPC: 200 2100000 bytes 0",
		}},
	} {
		for name, run := range map[string]engine{"nginx": nativeFile, "embedded": fromFile} {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				r := omnibus(t, tt.custom, replace...).run(t, run)
				client := over(roots[0], r.address("BIND1"), "kas.example.com", false)
				resp, err := client.Post("https://kas.example.com/k8s-proxy/api", "", big(2<<20))
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				got := []string{fmt.Sprintf("2 MiB to k8s-proxy: %d", resp.StatusCode)}
				for _, s := range []struct {
					name   string
					pieces int
					wait   bool
				}{{"less than 1 MiB of gRPC", 15, false}, {"2 MiB of gRPC", 35, false}, {"silence in gRPC", 1, true}} {
					if s.wait && !strings.Contains(tt.custom, "500ms") {
						continue
					}
					got = append(got, s.name+": "+echo(t, long(over(roots[0], r.address("BIND1"), "kas.example.com", true)), s.pieces, s.wait))
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// echo sends pieces of 60 KB through a gRPC stream and tells how it ends; wait
// leaves it open.
func echo(t *testing.T, c *http.Client, pieces int, wait bool) string {
	t.Helper()
	return open(t, c, "https://kas.example.com/gitlab.agent.x/Echo", "kas.example.com").talk(pieces, wait)
}

// TestOmnibusRequests compares what else the package's vhost does.
func TestOmnibusRequests(t *testing.T) {
	t.Parallel()
	replace, _ := pems(t, 1)
	w := omnibus(t, "", append(replace, "AGENT", origin(t), "API", origin(t), "GRPC", grpcOrigin(t))...)
	want, got := w.run(t, nativeFile), w.run(t, fromFile)
	kas := func(line string, header ...string) string {
		return line + " HTTP/1.1\r\nHost: kas.example.com\r\n" + lines(header) + "Connection: close\r\n\r\n"
	}
	for _, raw := range []string{
		kas("GET /-/kubernetes-agent/"), kas("GET /k8s-proxy"), kas("GET /k8s-proxy/"), kas("GET /k8s-proxy/api/v1?x=%2F"), kas("GET /k8s-proxy/a%2Fb//c"), kas("GET /x", "X-Forwarded-For: 9.9.9.9"),
		kas("GET /upgrade", "Upgrade: x"), kas("GET /status=404"), kas("GET /k8s-proxy/status=403"), kas("GET /moved"), kas("GET /.well-known/acme-challenge/token"), kas("GET /.well-known/acme-challenge/none"),
		kas("GET /.well-known/acme-challenge/link"), kas("POST /gitlab.agent"), kas("GET /x", "Accept-Encoding: gzip"), kas("GET /x?private_token=secret"),
	} {
		name, _, _ := strings.Cut(raw, " HTTP")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			say := func(r *running) string {
				c, err := tls.Dial("tcp", r.address("BIND1"), &tls.Config{InsecureSkipVerify: true, ServerName: "kas.example.com"})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				return r.neutral(exchange(t, c, raw))
			}
			if diff := cmp.Diff(say(want), say(got)); diff != "" {
				t.Errorf("the embedded role differs (-nginx +embedded):\n%s", diff)
			}
			if diff := cmp.Diff(want.send(t, "BIND0", raw), got.send(t, "BIND0", raw)); diff != "" {
				t.Errorf("on port 80 the embedded role differs (-nginx +embedded):\n%s", diff)
			}
		})
	}
}
