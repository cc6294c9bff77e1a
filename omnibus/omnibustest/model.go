package omnibustest

import (
	"embed"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"kasgen/omnibus"
	"kasgen/omnibus/importer"
)

//go:embed model
var templates embed.FS

// Model writes what Omnibus's reconfigure writes of nginx and kas below root,
// from what the stand-in of gitlab.rb resolved. It is a model: its templates
// were written from what is known of Omnibus's, with the defects that those
// have. GitLab's own vhost answers by itself instead of asking Rails.
func Model(t testing.TB, root, version, resolved string) {
	t.Helper()
	var node map[string]any
	if err := json.Unmarshal([]byte(resolved), &node); err != nil {
		t.Fatal(err)
	}
	v, err := omnibus.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	m := model{t, root, node, omnibus.Of(v)}
	gitlab, own := m.at("nginx"), m.at("gitlab_kas_nginx")
	if m.pkg.Nested {
		gitlab, own = m.at("gitlab_rails", "nginx"), m.at("gitlab_kas", "nginx")
	}
	kas := with(m.at("gitlab_kas"), map[string]any{
		"listen_address": "localhost:8150", "listen_websocket": true, "kubernetes_api_listen_address": "localhost:8154", "observability_listen_address": "localhost:8151",
		"internal_api_listen_address": "localhost:8153", "private_api_listen_address": "localhost:8155", "gitlab_address": node["external_url"], "gitlab_external_url": node["external_url"],
		"TokenSecret": v.Major >= 18,
	})
	m.write("var/opt/gitlab/gitlab-kas/gitlab-kas-config.yml", "gitlab-kas-config.yml", kas)
	const conf = "var/opt/gitlab/nginx/conf/"
	m.write("opt/gitlab/embedded/conf/mime.types", "mime.types", nil)
	// Where vhosts lie: from 18.5 on in a folder that is read whole, before beside
	// nginx.conf, which names those that there are.
	rails, kasVhost, vhosts := conf+"service_conf/gitlab-rails.conf", conf+"service_conf/gitlab-kas.conf", []string{"service_conf/*.conf"}
	if v.Major < 18 || v.Major == 18 && v.Minor < 5 {
		rails, kasVhost = conf+"gitlab-http.conf", conf+"gitlab-kas.conf"
		vhosts = []string{"/" + rails}
		if own["enable"] == true {
			vhosts = append(vhosts, "/"+kasVhost)
		}
	}
	m.write(conf+"nginx.conf", "nginx.conf", with(m.at("nginx"), map[string]any{"custom_nginx_config": "", "server_names_hash_bucket_size": 64, "Vhosts": vhosts}))
	m.write(conf+"nginx-status.conf", "nginx-status.conf", nil)
	m.write(conf+"upstream_definitions/gitlab-workhorse.conf", "workhorse.conf", nil)
	m.write(rails, "gitlab-rails.conf", with(gitlab, map[string]any{"listen_addresses": []string{"*"}, "listen_port": 443, "proxy_protocol": false,
		"real_ip_trusted_addresses": []string{}, "redirect_http_to_https": true, "custom_gitlab_server_config": "", "agent": kas["listen_address"], "api": kas["kubernetes_api_listen_address"],
		"GRPC": m.pkg.GRPC, "HTTP2": m.pkg.HTTP2Directive}))
	if own["enable"] == true {
		m.write(kasVhost, "gitlab-kas.conf", with(own, usualVhost(m.pkg, own, kas)))
	}
}

// usualVhost is what kas's vhost is told unless gitlab.rb says otherwise.
func usualVhost(pkg omnibus.Package, own, kas map[string]any) map[string]any {
	headers := map[string]any{"Host": "$http_host", "Upgrade": "$http_upgrade", "Connection": "$connection_upgrade", "X-Real-IP": "$remote_addr",
		"X-Forwarded-For": "$remote_addr", "X-Forwarded-Proto": "$scheme", "X-Forwarded-Scheme": "$scheme", "X-Scheme": "$scheme", "X-Original-Forwarded-For": "$http_x_forwarded_for"}
	if own["https"] == true {
		headers["X-Forwarded-Ssl"] = "on"
	}
	mine, _ := own["proxy_set_headers"].(map[string]any)
	for name, value := range mine {
		if headers[name] = value; value == nil {
			delete(headers, name)
		}
	}
	return map[string]any{"listen_addresses": []string{"*"}, "port": 443, "proxy_protocol": false, "http2_enabled": true,
		"redirect_http_to_https": false, "redirect_http_to_https_port": 80,
		"real_ip_trusted_addresses": []string{}, "real_ip_header": "", "real_ip_recursive": "", "custom_gitlab_server_config": "",
		"GRPC": pkg.GRPC, "HTTP2": pkg.HTTP2Directive, "agent": kas["listen_address"], "api": kas["kubernetes_api_listen_address"], "headers": headers,
		"ssl_certificate": fmt.Sprintf("/etc/gitlab/ssl/%v.crt", own["host"]), "ssl_certificate_key": fmt.Sprintf("/etc/gitlab/ssl/%v.key", own["host"]),
		"ssl_client_certificate": "", "ssl_verify_client": "", "ssl_verify_depth": "1", "ssl_ciphers": importer.CipherSuites, "ssl_protocols": "TLSv1.2 TLSv1.3",
		"ssl_prefer_server_ciphers": "off", "ssl_ecdh_curve": "", "ssl_session_cache": "shared:SSL:10m", "ssl_session_timeout": "1d", "ssl_session_tickets": "off",
		"hsts_max_age": 63072000, "hsts_include_subdomains": false, "proxy_custom_buffer_size": "", "error_log_level": "error",
		"k8s_proxy_connect_timeout": "5", "k8s_proxy_send_timeout": "60", "k8s_proxy_read_timeout": usualRead(pkg), "k8s_proxy_max_temp_file_size": "1024m"}
}

// usualRead is how long the Kubernetes API may be silent, in seconds.
func usualRead(pkg omnibus.Package) string {
	if pkg.Limits {
		return "7200"
	}
	return "60"
}

type model struct {
	t    testing.TB
	root string
	node map[string]any
	pkg  omnibus.Package
}

// at is a service's settings.
func (m model) at(keys ...string) map[string]any {
	at := m.node
	for _, k := range keys {
		at, _ = at[k].(map[string]any)
	}
	return at
}

func (m model) write(name, from string, values any) {
	m.t.Helper()
	var b strings.Builder
	all := template.Must(template.New("").Option("missingkey=error").ParseFS(templates, "model/*.tmpl"))
	if err := all.ExecuteTemplate(&b, from+".tmpl", values); err != nil {
		m.t.Fatal(err)
	}
	Write(m.t, filepath.Join(m.root, name), b.String())
}

func with(over, usual map[string]any) map[string]any {
	for k, v := range over {
		usual[k] = v
	}
	return usual
}
