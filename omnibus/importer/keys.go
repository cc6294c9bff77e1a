package importer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// frontKey is a documented key of kas's own vhost that no field of kasgen.yaml is
// for. It is told where it holds anything but what Omnibus has by itself.
type frontKey struct {
	name  string
	usual []string // what it holds unless it is set; nothing and "" always are
	warn  bool     // clients meet something else without it
	why   string   // what kasgen's own vhost does
	fix   string   // empty: stay
}

// Fixes of a key that Omnibus's vhost has and kasgen's has not.
const (
	stay     = "nothing where the vhost stays Omnibus's: packaged, from 18.11 on; else keep a vhost of your own"
	atEdge   = "nothing where the vhost stays Omnibus's: packaged, from 18.11 on; else write topology: A and tls.clientCA, whose edge asks for certificates"
	nothing  = "nothing: no client sees it"
	noEffect = "it has no effect in Omnibus's vhost of kas, and none in kasgen's"
	unset    = "remove it"

	realIPWhy = "kasgen's own vhost takes nobody's word for a client's address, unless kasgen.yaml says what stands before it"
	realIPFix = "nothing where the vhost stays Omnibus's: packaged, from 18.11 on; else write loadBalancer.kind and loadBalancer.realIPFrom"
)

// CipherSuites are those of Omnibus's vhosts unless they are told others, as Mozilla's intermediate configuration has them.
const CipherSuites = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" +
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384"

// frontKeys are those keys, as a package of 18.11 to 19.3 has them.
func frontKeys() []frontKey {
	usual := func(values ...string) []string { return values }
	return []frontKey{
		{"ssl_verify_client", usual("off"), true, "kasgen's own vhost asks no client for a certificate: whoever reaches it gets through TLS", atEdge},
		{"ssl_client_certificate", nil, true, "kasgen's own vhost asks no client for a certificate, so no CA is there for one", atEdge},
		{"ssl_verify_depth", usual("1"), true, "kasgen's own vhost asks no client for a certificate", atEdge},
		{"ssl_ciphers", usual(CipherSuites), true, "kasgen's own vhost has Omnibus's default ciphers", stay},
		{"ssl_prefer_server_ciphers", usual("off"), true, "kasgen's own vhost leaves the choice to clients, as Omnibus does by default", stay},
		{"ssl_ecdh_curve", nil, true, "kasgen's own vhost has nginx's default curves", stay},
		{"ssl_conf_command", nil, true, "kasgen's own vhost has no commands for OpenSSL", stay},
		{"ssl_dhparam", nil, true, "kasgen's own vhost has no parameters for DHE", stay},
		{"ssl_password_file", nil, true, "kasgen's own vhost knows no password, and nginx does not start with a key that needs one", "have a key without a password where kasgen's vhost reads it"},
		{"ssl_session_cache", usual("shared:SSL:10m"), false, "kasgen's own vhost has a cache of its own, of 10m", stay},
		{"ssl_session_timeout", usual("1d"), false, "kasgen's own vhost has Omnibus's default, 1d", stay},
		{"ssl_session_tickets", usual("off"), true, "kasgen's own vhost gives no tickets, as Omnibus does by default", stay},
		{"http2_enabled", usual("true"), true, "kasgen's own vhost speaks HTTP/2, which agents by gRPC need", stay},
		{"hsts_max_age", usual("63072000"), true, "kasgen's own vhost has Omnibus's default Strict-Transport-Security, 63072000", stay},
		{"hsts_include_subdomains", usual("false"), true, "kasgen's own vhost does not say includeSubdomains in Strict-Transport-Security", stay},
		{"proxy_custom_buffer_size", nil, true, "kasgen's own vhost has nginx's default buffers for the head of an answer", stay},
		{"k8s_proxy_max_temp_file_size", usual("1024m"), false, "kasgen's own vhost buffers no answer, so none is put into a file", nothing},
		{"error_log_level", usual("error"), false, "kasgen's own vhost has nginx's own log of errors", nothing},
		{"log_directory", usual("/var/log/gitlab/nginx"), false, "kasgen's own vhost logs to /var/log/gitlab/nginx/kasgen_access.log", nothing},
		{"dir", usual("/var/opt/gitlab/nginx"), false, "kasgen's files are in /etc/gitlab/kasgen", nothing},
		{"client_max_body_size", usual("0"), false, noEffect, unset},
		{"proxy_connect_timeout", usual("300"), false, noEffect, unset},
		{"proxy_read_timeout", usual("3600"), false, noEffect, unset},
		{"proxy_cache", usual("gitlab"), false, noEffect, unset},
		{"referrer_policy", usual("strict-origin-when-cross-origin"), false, noEffect, unset},
		{"listen_port", nil, false, noEffect + "; port has", unset},
	}
}

// elsewhere are keys that another part of a description is about.
func elsewhere() []string {
	return []string{"enable", "host", "port", "https", "listen_https", "listen_addresses", "proxy_protocol", "real_ip_header", "real_ip_recursive",
		"real_ip_trusted_addresses", "ssl_certificate", "ssl_certificate_key", "ssl_protocols", "proxy_set_headers", "redirect_http_to_https",
		"redirect_http_to_https_port", "k8s_proxy_connect_timeout", "k8s_proxy_send_timeout", "k8s_proxy_read_timeout", "custom_gitlab_server_config"}
}

// daemons are keys of nginx[...]. Until 19.1 the package copies their defaults,
// which are of its version, into every vhost's settings, where none has an effect.
func daemons() []string {
	return []string{"ha", "worker_processes", "worker_connections", "log_format", "log_format_escape", "sendfile", "tcp_nopush", "tcp_nodelay",
		"hide_server_tokens", "gzip_enabled", "gzip_http_version", "gzip_comp_level", "gzip_proxied", "gzip_types", "keepalive_timeout", "keepalive_time",
		"cache_max_size", "request_buffering_off_path_regex", "custom_nginx_config", "proxy_cache_path", "server_names_hash_bucket_size",
		"default_server_enabled", "consul_service_name", "consul_service_meta", "status"}
}

// frontKeys tells of every key of kas's vhost that is set, is not its default and that
// the description does not say. A key that nobody has documented is told, too.
func (r *reading) frontKeys() {
	if r.own == "" {
		return // GitLab's own vhost has kas, and these keys no effect
	}
	known := append(elsewhere(), daemons()...)
	for _, k := range frontKeys() {
		known = append(known, k.name)
		if v, key := r.vhost(k.name); !holds(v, k.usual) {
			r.told(k.warn, k.why, k.fix, key...)
		}
	}
	for _, service := range [][]string{{"gitlab_kas", "nginx"}, {"gitlab_kas_nginx"}} {
		settings, _ := r.get(service...).(map[string]any)
		for _, name := range sorted(settings) {
			if !slices.Contains(known, name) && !holds(settings[name], nil) {
				r.told(true, "kasgen does not know this key, nor what it does", stay, append(slices.Clone(service), name)...)
			}
		}
	}
	r.headers()
	r.realIP()
}

// usualHeaders are what Omnibus's vhost sends kas by itself, and kasgen's does.
func usualHeaders() map[string][]string {
	return map[string][]string{
		"Host": {"$http_host"}, "Upgrade": {"$http_upgrade"}, "Connection": {"$connection_upgrade"}, "X-Real-IP": {"$remote_addr"},
		"X-Forwarded-For": {"$remote_addr"}, "X-Forwarded-Proto": {"$scheme", "https"}, "X-Forwarded-Scheme": {"$scheme"}, "X-Scheme": {"$scheme"},
		"X-Original-Forwarded-For": {"$http_x_forwarded_for"}, "X-Forwarded-Ssl": {"on"},
	}
}

// headers are what kas gets of requests. Those of Omnibus's are kasgen's, too.
func (r *reading) headers() {
	usual := usualHeaders()
	v, key := r.vhost("proxy_set_headers")
	set, _ := v.(map[string]any)
	for _, name := range sorted(set) {
		if said, ok := set[name]; ok && !slices.Contains(usual[name], text(said)) {
			what := "kasgen's own vhost sends kas Omnibus's default headers alone"
			if text(said) == "" && usual[name] != nil {
				what = "it is taken away from what kas gets, and kasgen's own vhost sends it"
			}
			r.told(true, what, stay, append(slices.Clone(key), name)...)
		}
	}
}

// realIP is whose word counts about a client's address.
func (r *reading) realIP() {
	trusted, trust := r.vhost("real_ip_trusted_addresses")
	proxy, proxyKey := r.vhost("proxy_protocol")
	header, headerKey := r.vhost("real_ip_header")
	recursive, recursiveKey := r.vhost("real_ip_recursive")
	if len(texts(trusted)) == 0 {
		if proxy == true {
			r.told(true, "without "+Name(trust...)+" Omnibus takes nobody's word for a client's address, and kasgen that of whoever connects",
				"set loadBalancer.realIPFrom to the balancers' networks", proxyKey...)
		}
		for _, k := range []struct {
			value any
			key   []string
		}{{header, headerKey}, {recursive, recursiveKey}} {
			if !holds(k.value, []string{"off"}) {
				r.lose("it has no effect without "+Name(trust...)+", and kasgen's vhost does not say it", unset, k.key...)
			}
		}
		return
	}
	if !r.behind() {
		r.told(true, realIPWhy, realIPFix, trust...)
		for _, k := range []struct {
			value any
			key   []string
		}{{header, headerKey}, {recursive, recursiveKey}} {
			if !holds(k.value, []string{"off"}) {
				r.told(true, realIPWhy, realIPFix, k.key...)
			}
		}
		return
	}
	// nginx's own default is X-Real-IP.
	theirs, ours := text(header), "X-Forwarded-For"
	if proxy == true {
		ours = "proxy_protocol"
	}
	switch {
	case theirs == "" && proxy == true:
		theirs = ours
	case theirs == "":
		theirs = "X-Real-IP"
	}
	if !strings.EqualFold(theirs, ours) {
		r.told(true, fmt.Sprintf("clients' addresses are taken from %s, and by kasgen's keys and vhost from %s", theirs, ours), "have the balancer before this one send that", headerKey...)
	}
	switch on := text(recursive) == "on"; {
	case proxy != true && !on:
		r.told(true, "of several addresses nginx takes the last, and by kasgen's keys and vhost the last that nobody who may tell has",
			"nothing where the balancer before this one sends one address", recursiveKey...)
	case proxy == true && on:
		r.lose("a PROXY header has one address, so it has no effect", unset, recursiveKey...)
	}
}

// told is something lost that clients meet, or may.
func (r *reading) told(warn bool, why, fix string, key ...string) {
	r.lose(why, fix, key...)
	r.d.Lost[len(r.d.Lost)-1].Warning = warn
}

// holds says whether a setting is one of these, or is not set.
func holds(v any, usual []string) bool {
	s := text(v)
	return s == "" || slices.Contains(usual, s)
}

// text is a setting in a line, as nginx would get it.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		var all []string
		for _, e := range v {
			all = append(all, text(e))
		}
		return strings.Join(all, " ")
	case map[string]any:
		if len(v) == 0 {
			return ""
		}
	}
	return fmt.Sprint(v)
}
