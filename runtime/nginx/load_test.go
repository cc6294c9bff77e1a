package nginx

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kasgen/internal/diag"
	"kasgen/internal/nginxconf"
	"kasgen/runtime/balancer"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestFindings compares every finding, reason and fix of a faulty file.
func TestFindings(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in := a.Files[0]
			c, err := Load(in.Name, in.Data, nginxconf.Source{})
			var fs diag.Findings
			if err == nil {
				fs = c.Warnings()
			} else if !errors.As(err, &fs) {
				t.Fatalf("the error is no finding: %v", err)
			}
			var got strings.Builder
			if err := fs.WriteText(&got); err != nil {
				t.Fatal(err)
			}
			if *update {
				a.Files = []txtar.File{in, {Name: "findings", Data: []byte(got.String())}}
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(a.Files) != 2 {
				t.Fatal("the golden file lacks its findings: run with -update")
			}
			if diff := cmp.Diff(string(a.Files[1].Data), got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBindsAndFiles(t *testing.T) {
	t.Parallel()
	c, err := Load("n", []byte(`events {} stream {
 ssl_certificate /a.pem; ssl_certificate_key /a.key; worker_rlimit_nofile_is_not_here_on_purpose "";
}`), nginxconf.Source{})
	if err == nil || c != nil {
		t.Fatal("an unknown directive was accepted")
	}
	c, err = Load("n", []byte(`worker_shutdown_timeout 5s; events { worker_connections 1024; } stream {
 ssl_certificate /a.pem; ssl_certificate_key /a.key; ssl_protocols TLSv1.2 TLSv1.3;
 server { listen 443 ssl reuseport; listen [::]:443 ssl so_keepalive=30s::5; proxy_pass [::1]:1; }
 server { listen 127.0.0.1:8443 ssl backlog=100; ssl_certificate /b.pem; ssl_certificate_key /b.pem; proxy_pass localhost:1; }
}`), nginxconf.Source{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"0.0.0.0:443", "[::]:443", "127.0.0.1:8443"}, c.Binds()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"/a.pem", "/a.key", "/b.pem"}, c.Files()); diff != "" {
		t.Error(diff)
	}
	if c.balancer.Drain != 5*time.Second {
		t.Errorf("the drain time is %v", c.balancer.Drain)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte("events {} stream { map $remote_addr $x { hostnames; *.a 1.2.3.4:1; ~b c; default $y; } map $x $y { a b; } upstream c { server 1.2.3.4:5 weight=2; hash $remote_addr; } server { listen 80 ssl; proxy_pass $x; } }"))
	f.Add([]byte("events {} stream { map a${b}c $d { \\default ${; } server { listen [::1]:1 so_keepalive=1:2:3; proxy_pass $d; } }"))
	f.Add([]byte("events {} http { map $uri$x $y { hostnames; ~(?<x>a) $x; } upstream u { server a; keepalive 2; } server { listen [::1]:80 ssl http2; server_name .a ~^(b)$; ssl_certificate a; ssl_certificate_key b; location ~ ^/(.*)$ { if ($1 ~* (c)) { return 301 $1; } rewrite a b? last; proxy_pass http://$host/$1; error_page 404 =200 @n; } location @n { grpc_pass grpcs://u; } } }"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := Load("n", data, nginxconf.Source{}); err == nil {
			_, _ = c.Binds(), c.Files()
		}
	})
}

func TestMap(t *testing.T) {
	t.Parallel()
	c, err := Load("n", []byte(`events {} stream {
 map $remote_addr $name { hostnames; default 1.1.1.1:1; 192.0.2.1 1.1.1.1:2; 192.0.* 1.1.1.1:3; *.2.3 1.1.1.1:4; ~^10\. $inner; }
 map $remote_addr $inner { 10.0.0.1 1.1.1.1:5; default 1.1.1.1:6; }
 server { listen 80; proxy_pass $name; }
}`), nginxconf.Source{})
	if err != nil {
		t.Fatal(err)
	}
	for client, want := range map[string]string{
		"192.0.2.1": "1.1.1.1:2", "192.0.9.9": "1.1.1.1:3", "9.9.2.3": "1.1.1.1:4", "10.0.0.1": "1.1.1.1:5", "10.9.9.9": "1.1.1.1:6", "8.8.8.8": "1.1.1.1:1",
	} {
		v := &balancer.View{Client: netip.AddrPortFrom(netip.MustParseAddr(client), 1)}
		if got := c.balancer.Frontends[0].Route(v).Backend; got == nil || got.Name != want {
			t.Errorf("%s goes to %v, want %s", client, got, want)
		}
	}
}
