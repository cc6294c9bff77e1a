package nginx

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"kasgen/internal/diag"
	"kasgen/internal/judge"
	"kasgen/internal/nginxconf"
	"kasgen/runtime/balancer/balancertest"
)

// TestWebAccepts asks nginx -t about the same lines: what it refuses is refused
// here, and what it takes is taken, or said not to be supported.
func TestWebAccepts(t *testing.T) {
	t.Parallel()
	bin := judge.Find(t, "nginx")
	pem, _ := balancertest.CombinedPEM(t)
	server := func(s string) string { return "server { listen 127.0.0.1:8080; " + s + " }" }
	location := func(s string) string { return server("location /a/ { " + s + " }") }
	tls := "ssl_certificate PEM; ssl_certificate_key PEM;"
	for i, s := range []string{
		"", server(""), server("server_name a b;") + server("server_name b c;"), server("") + server("listen 127.0.0.1:8080;"), server("listen 127.0.0.1:8080 default_server;"),
		"server { listen 127.0.0.1:8080 default_server; } server { listen 127.0.0.1:8080 default_server; }", "server { listen 127.0.0.1:8080 backlog=5; } server { listen 127.0.0.1:8080 backlog=6; }",
		"server { listen 127.0.0.1:8080 so_keepalive=on; } server { listen 127.0.0.1:8080; }", "server { listen 8080 ssl; }", "server { listen 8080 ssl; " + tls + " }", "server { listen 8080 ssl; ssl_certificate PEM; }",
		"server { listen 8080 ssl; ssl_reject_handshake on; }", "server { listen 8080 ssl; ssl_reject_handshake on; } server { listen 8080 ssl; server_name a; }", "server { listen 8080 ssl; " + tls + " } server { listen 8080 ssl; server_name a; }",
		"server { listen 8080 ssl http2 proxy_protocol; " + tls + " ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers HIGH:!aNULL; ssl_ecdh_curve auto; ssl_session_cache shared:SSL:10m; }", "server { listen 8080 ssl; " + tls + " ssl_protocols TLSv1.4; }",
		"server { listen 0; }", "server { listen 99999; }", "server { listen 8080 bogus; }", "server { listen [::1]:8080 ipv6only=on; }", "server { listen 127.0.0.1:8080 ipv6only=on; }", "server { listen 127.0.0.1; }", "server { listen 8080 so_keepalive=x; }",
		server("location /a {} location /a {}"), server("location = /a {} location /a {}"), server("location /a {} location ^~ /a {}"), server("location ~ a {} location ~ a {}"), server("location @a {} location @a {}"),
		server("location ~ ( {}"), server("location ~ (?=a) {}"), server("location ~ (a)\\1 {}"), server("location a b c {}"), server("location ! /a {}"), server("location {}"), server("location =/a {} location ~^/b {}"),
		server("location /a { location /b {} }"), server("location /a { location /a/b {} }"), server("location = /a { location /a/b {} }"), server("location /a { location @b {} }"), server("location @a { location /a {} }"), server("location ~ a { location /b {} }"),
		location("proxy_pass http://127.0.0.1:1;"), location("proxy_pass http://127.0.0.1:1; proxy_pass http://127.0.0.1:2;"), location("proxy_pass 127.0.0.1:1;"), location("proxy_pass http://;"), location("proxy_pass http://$host;"), location("proxy_pass http://$nope;"),
		location("proxy_pass http://127.0.0.1:99999;"), location("proxy_pass ftp://127.0.0.1;"), server("location ~ a { proxy_pass http://127.0.0.1:1; }"), server("location ~ a { proxy_pass http://127.0.0.1:1/; }"), server("location @a { proxy_pass http://127.0.0.1:1/b; }"),
		location("grpc_pass grpc://127.0.0.1:1;"), location("grpc_pass grpcs://127.0.0.1:1;"), location("grpc_pass 127.0.0.1:1;"), location("grpc_pass grpc://127.0.0.1:1/a;"), location("grpc_pass http://127.0.0.1:1;"), server("proxy_pass http://127.0.0.1:1;"),
		"upstream u { server 127.0.0.1:1; } " + location("proxy_pass http://u;"), "upstream u { } " + server(""), "upstream u { server 127.0.0.1; keepalive 5; least_conn; }", "upstream u { server 127.0.0.1:1; } upstream u { server 127.0.0.1:1; }", "upstream u { server 127.0.0.1:1 bogus; }",
		"map $host $x { default a; b c; }", "map $host $x { default a; default b; }", "map $host $x { a b; a c; }", "map $host x { a b; }", "map $nope $x { a b; }", "map $host $x { a $nope; }", "map $host $uri { a b; }", "map $host $x { ~(?<n>a) $n; }", "map $host $x { hostnames; volatile; *.a b; }", "map $host $x { ~( a; }", "map $host { a b; }",
		location("set $x 1; return 200 $x;"), location("set x 1;"), location("set $uri 1;"), location("set $args a;"), location("return 200 $nope;"), location("return;"), location("return abc;"), location("return 1000;"), location("return http://a/;"), location("return 200 a b;"), location("return 301 /x;"),
		location("if ($host = a) { return 404; }"), location("if ($host == a) { return 404; }"), location("if (host = a) { return 404; }"), location("if ($host) { set $a b; }"), location("if $host { return 404; }"), location("if ($host ~ () { return 404; }"), location("if ( $host = a ) { return 404; }"), location("if ($host = a) { bogus; }"), location("if ($host !~* a) { rewrite a b break; }"),
		location("if ($host) { if ($uri) { return 404; } }"), location("if ($host) { server_name a; }"), location("if () { return 404; }"),
		location("rewrite a;"), location("rewrite a b c;"), location("rewrite ( b;"), location("rewrite ^/(.*)$ /$1 last;"), location("rewrite ^ $nope;"), location("break;"), location("break x;"), location("internal;"), server("internal;"),
		location("error_page 404 /x;"), location("error_page 404;"), location("error_page 200 /x;"), location("error_page 499 /x;"), location("error_page 404 = @x;"), location("error_page x /x;"), location("error_page 404 =abc /x;"), location("error_page = /x;"),
		location("add_header A b;"), location("add_header A b always;"), location("add_header A b sometimes;"), location("add_header A;"), location("add_header A $nope;"), location("proxy_set_header A;"), location("proxy_set_header A b;"), location("proxy_set_header A b c;"), location("grpc_set_header A b;"), location("proxy_hide_header A; proxy_hide_header B;"),
		location("client_max_body_size 0;"), location("client_max_body_size 1g;"), location("client_max_body_size x;"), location("client_max_body_size 1 2;"), location("client_max_body_size 1; client_max_body_size 2;"), location("proxy_read_timeout 5;"), location("proxy_read_timeout 5x;"), location("proxy_read_timeout -1;"), location("client_header_timeout 5;"), location("proxy_http_version 1.1;"), location("proxy_http_version 2;"),
		location("proxy_buffering maybe;"), location("proxy_next_upstream error timeout http_502 non_idempotent;"), location("proxy_next_upstream bogus;"), location("proxy_redirect off;"), location("proxy_redirect default;"), location("proxy_pass http://127.0.0.1:1; proxy_redirect default;"), location("proxy_redirect http://a/ /b;"), location("proxy_redirect bogus;"),
		location("root /a; alias /b;"), location("root /a;"), location("alias /a;"), server("alias /a;"), location("index a b;"), location("types { a/b c d; }"), location("types { a/b; }"), location("default_type a/b;"), location("disable_symlinks on;"), location("server_tokens on;"), location("server_tokens x;"),
		location("set_real_ip_from 10.0.0.0/8; real_ip_header X-Forwarded-For; real_ip_recursive on;"), location("set_real_ip_from x;"), location("real_ip_header;"), server("http2_max_concurrent_streams 1000;"), location("http2_max_concurrent_streams 1000;"), server("large_client_header_buffers 4 8k;"), server("large_client_header_buffers 4;"), location("merge_slashes off;"),
		"log_format a '$remote_addr $nope';", "log_format a '$request_time $upstream_response_time'; access_log off;", "access_log /dev/null none;", "access_log /dev/null combined;", "gzip on; gzip_types a/b; gzip_proxied any; gzip_comp_level 2; gzip_vary on; gzip_min_length 1k; gzip_http_version 1.0; gzip_buffers 4 8k;", "gzip_comp_level 10;", "gzip_proxied bogus;",
		"server_names_hash_bucket_size 64;", "sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_timeout 65; keepalive_requests 10; keepalive_time 1h; send_timeout 5; reset_timedout_connection on;", "bogus on;", "http { }", "server a { }", server("server { }"), server("events { }"), "proxy_ssl_verify on;", location("proxy_ssl_verify on; proxy_pass https://127.0.0.1:1;"), location("proxy_ssl_verify on; proxy_ssl_trusted_certificate PEM; proxy_pass https://127.0.0.1:1;"),
		server("server_name *.a.b;"), server("server_name .a.b;"), server("server_name a.*;"), server("server_name a*b;"), server("server_name *a.b;"), server("server_name ~(;"), server("server_name ~^(?<x>a)$; return 200 $x;"), server(`server_name "";`), server("server_name;"), server("server_name http://a;"),
		"add_header A b; server_tokens off; add_header C d;", server("ssl_certificate PEM;"), location("ssl_protocols TLSv1.2;"), location("listen 80;"), location("server_name a;"), "root html; listen 80;", location("proxy_cache off; autoindex off; satisfy all;"),
		"proxy_cache_path cache keys_zone=z:1m; proxy_cache z; " + location("proxy_pass http://127.0.0.1:1;"), "proxy_cache_path cache keys_zone=z:1m; proxy_cache z; " + location("proxy_pass http://127.0.0.1:1; proxy_buffering off;"), "proxy_cache_path cache keys_zone=z:1m; proxy_cache z; " + location("grpc_pass 127.0.0.1:1;"), "proxy_cache a b;", "fastcgi_temp_path t; uwsgi_temp_path u 1 2; scgi_temp_path v;", location("fastcgi_temp_path;"),
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			text := "events {}\nhttp {\n" + strings.ReplaceAll(s, "PEM", pem) + "\n}\n"
			dir := t.TempDir()
			file := filepath.Join(dir, "nginx.conf")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			out, native := exec.Command(bin, "-t", "-q", "-p", dir, "-c", file, "-g", "pid "+dir+"/pid; error_log stderr;").CombinedOutput()
			_, err := Load("nginx.conf", []byte(text), nginxconf.Source{})
			var fs diag.Findings
			if err != nil && !errors.As(err, &fs) {
				t.Fatal(err)
			}
			unsupported := false
			for _, f := range fs {
				unsupported = unsupported || f.Severity == diag.Error && f.Code == "KAS2402"
			}
			if (native != nil) != (err != nil) && (native != nil || !unsupported) {
				t.Errorf("%s\nnginx: %v %s\nembedded: %v", s, native, out, err)
			}
		})
	}
}

// TestRendered loads every nginx file that the generator is held to.
func TestRendered(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../generator/testdata/render/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no rendered files: %v", err)
	}
	seen := 0
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range a.Files {
			if !strings.Contains(f.Name, "nginx/") || !strings.HasSuffix(f.Name, ".conf") {
				continue
			}
			seen++
			t.Run(fmt.Sprintf("%s/%s", filepath.Base(file), filepath.Base(f.Name)), func(t *testing.T) {
				t.Parallel()
				c, err := Load(f.Name, f.Data, nginxconf.Source{})
				if err != nil {
					t.Fatal(err)
				}
				if w := c.Warnings(); len(w) > 0 {
					t.Errorf("it has warnings: %v", w)
				}
				if len(c.Binds()) == 0 {
					t.Error("nothing listens")
				}
			})
		}
	}
	if seen == 0 {
		t.Error("no nginx file among them")
	}
}
