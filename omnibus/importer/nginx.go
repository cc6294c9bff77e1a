package importer

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// nginx is how kas's own vhost is reached.
func (r *reading) nginx() {
	https, httpsKey := r.vhost("listen_https")
	port, portKey := r.vhost("port")
	if addresses, key := r.vhost("listen_addresses"); addresses != nil || number(port) != "" && number(port) != "443" {
		listen := "443"
		if n := number(port); n != "" {
			listen = n
		}
		var at []string
		for _, a := range texts(addresses) {
			switch {
			case a == "*":
				a = "0.0.0.0"
			case strings.Contains(a, ":") && !strings.HasPrefix(a, "["):
				a = "[" + a + "]"
			}
			at = append(at, a+":"+listen)
		}
		if len(at) == 0 {
			at, key = []string{"0.0.0.0:" + listen}, portKey
		}
		if !slices.Equal(at, []string{"0.0.0.0:443"}) {
			r.add("loadBalancer.listen", at, Name(key...))
		}
	}
	if https == false {
		r.add("loadBalancer.kind", "external-http", Name(httpsKey...)+": TLS ends before this machine")
		r.add("loadBalancer.tls", "terminate", Name(httpsKey...))
	}
	if on, key := r.vhost("proxy_protocol"); on == true {
		r.add("loadBalancer.acceptProxyProtocol", "v2", Name(key...))
	}
	if trusted, key := r.vhost("real_ip_trusted_addresses"); len(texts(trusted)) > 0 && r.behind() {
		r.add("loadBalancer.realIPFrom", texts(trusted), Name(key...))
	}
	for _, l := range []struct{ name, usual string }{
		{"k8s_proxy_connect_timeout", "5"}, {"k8s_proxy_send_timeout", "60"}, {"k8s_proxy_read_timeout", "7200"},
	} {
		if v, key := r.vhost(l.name); v != nil && number(v) != l.usual {
			r.lose("kasgen has one limit for silence, which is 2 h and stands in every direction", "set timeouts.idle and timeouts.connect if those are not to be", key...)
		}
	}
}

// protocols are the versions of TLS, of which kasgen.yaml has the oldest.
func (r *reading) protocols() {
	v, key := r.vhost("ssl_protocols")
	versions := strings.Fields(text(v))
	slices.Sort(versions)
	switch versions = slices.Compact(versions); {
	case len(versions) == 0, r.own == "", slices.Equal(versions, []string{"TLSv1.2", "TLSv1.3"}):
	case slices.Equal(versions, []string{"TLSv1.3"}):
		r.add("tls.minVersion", "1.3", Name(key...))
	default:
		r.told(true, "kasgen's own vhost has TLSv1.2 and TLSv1.3, or the latter alone", "nothing where the vhost stays Omnibus's: packaged, from 18.11 on; else tls.minVersion is all there is", key...)
	}
}

// redirect is what becomes of kas's name on port 80. By itself Omnibus has no
// vhost for it there, and kasgen has one.
func (r *reading) redirect() {
	https, _ := r.vhost("listen_https")
	if r.own == "" || https == false || strings.HasPrefix(r.text("gitlab_kas_external_url"), "ws://") {
		return
	}
	on, key := r.vhost("redirect_http_to_https")
	port, portKey := r.vhost("redirect_http_to_https_port")
	switch {
	case on != true && r.letsEncrypt:
		// The CA asks there, and kasgen's vhost answers from where Omnibus puts it.
	case on != true:
		r.add("http.listen", []string{}, Name(key...)+" is not set: port 80 stays GitLab's")
	case !holds(port, []string{"80"}):
		r.add("http.listen", []string{"0.0.0.0:" + text(port)}, Name(portKey...))
	}
}

// behind says whether something before nginx states clients' addresses in a way
// that kasgen.yaml has.
func (r *reading) behind() bool {
	https, _ := r.vhost("listen_https")
	proxy, _ := r.vhost("proxy_protocol")
	return https == false || proxy == true
}

// unkept are settings that change what is served and that kasgen.yaml has no
// field for.
func (r *reading) unkept() {
	const stays = "nothing: kasgen.rb leaves it as it is"
	for _, k := range []struct {
		key      []string
		why, fix string
	}{
		{[]string{"nginx", "custom_nginx_config"}, "text for nginx is nobody's but yours", "nothing: kasgen.rb puts its own lines below it"},
		{[]string{"gitlab_kas", "extra_config_command"}, "what a command prints cannot be read here", stays},
		{[]string{"gitlab_kas", "certificate_file"}, "kasgen's kas takes cleartext from this machine only", "remove it with key_file once the edge or nginx ends TLS; kubernetes_api_certificate_file with it"},
		{[]string{"gitlab_kas", "kubernetes_api_certificate_file"}, "kasgen's kas takes cleartext from this machine only", "remove it, with its key"},
		{[]string{"gitlab_kas", "redis_host"}, "Redis is Omnibus's own affair where it writes kas's file", stays},
		{[]string{"gitlab_kas", "redis_socket"}, "Redis is Omnibus's own affair where it writes kas's file", stays},
		{[]string{"gitlab_kas", "sentry_dsn"}, "Sentry is Omnibus's own affair where it writes kas's file", stays},
		{[]string{"gitlab_kas", "workspaces", "enabled"}, "workspaces have hosts of their own, of which kasgen knows nothing", stays},
	} {
		if r.grpc != nil && k.key[0] == "nginx" {
			continue // told already
		}
		if v := r.get(k.key...); v != nil && v != "" && v != false {
			r.lose(k.why, k.fix, k.key...)
		}
	}
	if env, ok := r.get("gitlab_kas", "env").(map[string]any); ok {
		for _, name := range sorted(env) {
			if name != "SSL_CERT_DIR" && name != "GODEBUG" {
				r.lose("variables of kas's process are Omnibus's own affair", stays, "gitlab_kas", "env", name)
			}
		}
	}
	if on, _ := r.get("nginx", "proxy_protocol").(bool); on {
		if own, _ := r.vhost("proxy_protocol"); own != true {
			r.lose("GitLab's own vhost expects a PROXY header, and what shares its address and port does too", "set loadBalancer.acceptProxyProtocol: v2, where kas's vhost listens at the same address", "nginx", "proxy_protocol")
		}
	}
	if v, key := r.vhost("custom_gitlab_server_config"); !holds(v, nil) {
		r.told(true, "text for nginx is nobody's but yours, and kasgen's own vhost has nothing of it", stay, key...)
	}
	r.advertised()
}

// advertised are the addresses of kas that GitLab hands out, where a key of their
// own says otherwise than kas's name would.
func (r *reading) advertised() {
	advertised, kas := r.text("gitlab_rails", "gitlab_kas_external_url"), r.text("gitlab_kas_external_url")
	switch {
	case advertised == "" || kas == "" || strings.TrimSuffix(advertised, "/") == strings.TrimSuffix(kas, "/"):
	case r.field("topology") == "D":
		if r.field("agents.websocket") == nil {
			r.told(true, fmt.Sprintf("agents are told %s, and kasgen.rb tells new ones wss://%s/ as long as WebSocket is served", advertised, r.own),
				"write agents.websocket: remove once no agent uses it; agents that are there keep what they were told", "gitlab_rails", "gitlab_kas_external_url")
		}
	default:
		r.told(true, fmt.Sprintf("agents are told %s, kas's vhost is for %s, and none of nginx's was seen for the former: kasgen.rb tells them the latter", advertised, kas),
			"look at topology B or D, whose second name is names.grpc", "gitlab_rails", "gitlab_kas_external_url")
	}
	if told := r.text("gitlab_rails", "gitlab_kas_external_url"); told != "" && kas == "" && hostOf(told) != hostOf(r.text("external_url")) {
		r.lose(fmt.Sprintf("agents are told %s, which kasgen.rb replaces by names.kas", told), "write that host into names.kas, if it reaches this machine", "gitlab_rails", "gitlab_kas_external_url")
	}
	if told := r.text("gitlab_rails", "gitlab_kas_external_k8s_proxy_url"); told != "" && r.own != "" {
		if usual := "https://" + r.own + "/k8s-proxy/"; told != usual {
			r.lose(fmt.Sprintf("CI jobs are told %s, which kasgen.rb replaces by %s", told, usual), "have that address lead here as long as jobs have it", "gitlab_rails", "gitlab_kas_external_k8s_proxy_url")
		}
	}
	if told := r.text("gitlab_rails", "gitlab_kas_internal_url"); told != "" && told != "grpc://localhost:"+port(railsPort) && told != "grpc://"+railsPort {
		r.lose(fmt.Sprintf("GitLab itself calls kas at %s, which no key of kasgen's is about", told), "nothing: kasgen.rb leaves it as it is; it has to agree with kas.listen.api", "gitlab_rails", "gitlab_kas_internal_url")
	}
}

// hostOf is the name in a URL, or nothing.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func port(address string) string {
	_, p, _ := strings.Cut(address, ":")
	return p
}

func number(v any) string {
	switch v.(type) {
	case string, float64, int:
		return text(v)
	}
	return ""
}

func texts(v any) []string {
	if s, ok := v.(string); ok && s != "" {
		return []string{s}
	}
	list, _ := v.([]any)
	var all []string
	for _, e := range list {
		if s, ok := e.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

func sorted(m map[string]any) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
