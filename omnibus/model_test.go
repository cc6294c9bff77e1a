package omnibus_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"text/template"

	"kasgen/omnibus"
)

// nginxModel is what Omnibus's nginx is given, as far as kas's traffic meets it.
// It is a model: written from what is known of Omnibus's templates, with the
// defects that they have, and with Debian's nginx in mind, which has neither
// Omnibus's module for tokens nor, before 1.25.1, `http2 on`.
const nginxModel = `{{define "main"}}
worker_processes 1;
error_log stderr;
pid nginx.pid;
daemon off;
events { worker_connections 100; }
http {
  log_format gitlab_access '$remote_addr - $remote_user [$time_local] "$request_method $uri $server_protocol" $status $body_bytes_sent';
  server_names_hash_bucket_size 64;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_timeout 65;
  gzip on;
  gzip_types text/plain application/json;
  proxy_cache_path proxy_cache keys_zone=gitlab:10m max_size=1g levels=1:2;
  proxy_cache gitlab;
  map $http_upgrade $connection_upgrade {
      default upgrade;
      ''      close;
  }
  include upstream_definitions/*.conf;
  include service_conf/*.conf;
  {{.custom_nginx_config}}
}
{{end}}
{{define "gitlab"}}
server {
{{- range .listen_addresses}}
  listen {{.}}:{{$.listen_port}}{{if $.proxy_protocol}} proxy_protocol{{end}} ssl default_server;
{{- end}}
  server_name gitlab.example.com;
  ssl_certificate /etc/gitlab/ssl/gitlab.example.com.crt;
  ssl_certificate_key /etc/gitlab/ssl/gitlab.example.com.key;
{{- if .proxy_protocol}}
  real_ip_header proxy_protocol;
{{- end}}
{{- range .real_ip_trusted_addresses}}
  set_real_ip_from {{.}};
{{- end}}
  location / { return 200 "gitlab $remote_addr"; }
}
{{- if .redirect_http_to_https}}
server {
  listen *:80;
  server_name gitlab.example.com;
  location / { return 301 https://gitlab.example.com:443$request_uri; }
}
{{- end}}
{{end}}
{{define "proxy"}}
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_buffering off;
    proxy_request_buffering on;
    proxy_redirect off;
    proxy_intercept_errors off;
{{end}}
{{define "kas"}}
server {
{{- range .listen_addresses}}
  listen {{.}}:{{$.port}}{{if $.proxy_protocol}} proxy_protocol{{end}}{{if $.https}} ssl{{end}};
{{- end}}
  server_name {{.host}};
  server_tokens off;
  disable_symlinks on;
{{- if .https}}
  http2 on;
  ssl_certificate {{.ssl_certificate}};
  ssl_certificate_key {{.ssl_certificate_key}};
  ssl_protocols TLSv1.2 TLSv1.3;
{{- end}}
{{- range .real_ip_trusted_addresses}}
  set_real_ip_from {{.}};
{{- end}}
  access_log /var/log/gitlab/nginx/gitlab_kas_access.log gitlab_access;
  location / {
    proxy_pass http://{{.agent}}/;
    {{template "proxy"}}
    proxy_connect_timeout 5s;
    proxy_send_timeout 60s;
    proxy_read_timeout 60s;
  }
{{- if .GRPC}}
  location /gitlab.agent. {
    grpc_pass grpc://{{.agent}};
    proxy_intercept_errors off;
  }
{{- end}}
  location /k8s-proxy/ {
    proxy_pass http://{{.api}}/;
    {{template "proxy"}}
    proxy_connect_timeout {{.k8s_proxy_connect_timeout}}s;
    proxy_send_timeout {{.k8s_proxy_send_timeout}}s;
    proxy_read_timeout {{.k8s_proxy_read_timeout}}s;
  }
  location = /k8s-proxy/ {
    proxy_pass http://{{.api}}/;
    {{template "proxy"}}
  }
  error_page 403 /403.html;
  error_page 404 /404.html;
  {{.custom_gitlab_server_config}}
}
{{end}}`

// model writes Omnibus's nginx files below root/var/opt/gitlab/nginx, from what
// the stand-in resolved.
func model(t *testing.T, root, version, resolvedJSON string) {
	t.Helper()
	var node map[string]any
	if err := json.Unmarshal([]byte(resolvedJSON), &node); err != nil {
		t.Fatal(err)
	}
	at := func(keys ...string) map[string]any {
		m := node
		for _, k := range keys {
			m, _ = m[k].(map[string]any)
		}
		return m
	}
	v, err := omnibus.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	pkg := omnibus.Of(v)
	gitlab, kas := at("nginx"), at("gitlab_kas_nginx")
	if pkg.Nested {
		gitlab, kas = at("gitlab_rails", "nginx"), at("gitlab_kas", "nginx")
	}
	with := func(over map[string]any, usual map[string]any) map[string]any {
		for k, v := range over {
			usual[k] = v
		}
		return usual
	}
	agent, api := at("gitlab_kas")["listen_address"], at("gitlab_kas")["kubernetes_api_listen_address"]
	write := func(name, part string, values any) {
		var b bytes.Buffer
		tmpl := template.Must(template.New("").Option("missingkey=error").Parse(nginxModel))
		if err := tmpl.ExecuteTemplate(&b, part, values); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, "var/opt/gitlab/nginx/conf", name), b.String())
	}
	write("nginx.conf", "main", with(at("nginx"), map[string]any{"custom_nginx_config": ""}))
	write("service_conf/gitlab-rails.conf", "gitlab", with(gitlab, map[string]any{"listen_addresses": []string{"*"}, "listen_port": 443, "proxy_protocol": false,
		"real_ip_trusted_addresses": []string{}, "redirect_http_to_https": true}))
	if kas["enable"] == true {
		write("service_conf/gitlab-kas.conf", "kas", with(kas, map[string]any{"listen_addresses": []string{"*"}, "port": 443, "proxy_protocol": false,
			"real_ip_trusted_addresses": []string{}, "custom_gitlab_server_config": "", "GRPC": pkg.GRPC, "agent": agent, "api": api,
			"ssl_certificate": "/etc/gitlab/ssl/kas.crt", "ssl_certificate_key": "/etc/gitlab/ssl/kas.key",
			"k8s_proxy_connect_timeout": "5", "k8s_proxy_send_timeout": "60", "k8s_proxy_read_timeout": "7200"}))
	}
}

var (
	listens      = regexp.MustCompile(`(?m)^(\s*listen )(\S+?):(\d+)(.*);`)
	certificates = regexp.MustCompile(`(?m)^(\s*ssl_certificate(_key)? ).*;`)
	includes     = regexp.MustCompile(`(?m)^(\s*include )(/\S+);`)
	logs         = regexp.MustCompile(`(?m)^(\s*access_log )/\S+/(\S+) `)
	http2        = regexp.MustCompile(`(?m)^\s*http2 on;\n`)
)

// adapt makes files for Debian's nginx without a package: other ports, a
// certificate that is there, folders below root. Where a file says `http2 on`,
// older nginx is told by its listeners.
func adapt(t *testing.T, root string, port func(address string) string) {
	t.Helper()
	tls := filepath.Join(root, "tls")
	certificate(t, tls, "kas.gitlab.example.com", "kas-grpc.gitlab.example.com", "old-kas.gitlab.example.com", "gitlab.example.com")
	logDir := filepath.Join(root, "log")
	if err := os.MkdirAll(logDir, 0o755); err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, pattern := range []string{"var/opt/gitlab/nginx/conf/*.conf", "var/opt/gitlab/nginx/conf/service_conf/*.conf", "etc/gitlab/kasgen/vhosts/*.conf"} {
		list, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, list...)
	}
	speaks := map[string]bool{} // addresses that speak HTTP/2, in any file
	texts := map[string]string{}
	for _, path := range found {
		text := read(t, path)
		for _, server := range strings.SplitAfter(text, "\nserver {") {
			if http2.MatchString(server) || strings.Contains(server, " http2;") {
				for _, l := range listens.FindAllStringSubmatch(server, -1) {
					speaks[l[3]] = true
				}
			}
		}
		texts[path] = text
	}
	for path, text := range texts {
		text = listens.ReplaceAllStringFunc(text, func(line string) string {
			l := listens.FindStringSubmatch(line)
			options := strings.ReplaceAll(l[4], " http2", "")
			if speaks[l[3]] && strings.Contains(options, " ssl") {
				options += " http2"
			}
			return l[1] + port(l[3]) + options + ";"
		})
		text = http2.ReplaceAllString(text, "")
		text = certificates.ReplaceAllStringFunc(text, func(line string) string {
			m := certificates.FindStringSubmatch(line)
			if m[2] != "" {
				return m[1] + filepath.Join(tls, "kas.key") + ";"
			}
			return m[1] + filepath.Join(tls, "kas.crt") + ";"
		})
		text = includes.ReplaceAllString(text, "${1}"+root+"${2};")
		text = logs.ReplaceAllString(text, "${1}"+logDir+"/${2} ")
		text = strings.ReplaceAll(text, "/var/lib/kasgen/acme", filepath.Join(root, "acme"))
		text = strings.ReplaceAll(text, "/var/opt/gitlab/nginx/www", filepath.Join(root, "www"))
		text = strings.ReplaceAll(text, "\nhttp {\n", "\nhttp {\n"+temporary(root))
		write(t, path, text)
	}
}

// temporary gives nginx's http{} folders that anybody may write.
func temporary(root string) string {
	lines := ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		lines += fmt.Sprintf("%s_temp_path %s;\n", kind, filepath.Join(root, "temp_"+kind))
	}
	return lines
}
