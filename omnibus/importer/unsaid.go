package importer

import (
	"fmt"
	"slices"
	"strings"

	"kasgen/internal/nginxconf"
)

// front is how clients reach the vhost.
func (r *reading) front(v *vhost) {
	if at := v.listen; len(at) > 0 && !slices.Equal(at, []string{"0.0.0.0:443"}) {
		r.add("loadBalancer.listen", at, place(v.server.Name))
	}
	if !v.tls {
		r.add("loadBalancer.kind", "external-http", "no listen says ssl: TLS ends before this machine")
		r.add("loadBalancer.tls", "terminate", "no listen says ssl")
	}
	if v.proxyProtocol {
		r.add("loadBalancer.acceptProxyProtocol", "v2", "proxy_protocol")
	}
	switch {
	case len(v.trusted) > 0 && v.tls && !v.proxyProtocol:
		r.warnAt(true, v.server.Name, "set_real_ip_from "+strings.Join(v.trusted, " "), realIPWhy, realIPFix)
	case len(v.trusted) > 0:
		r.add("loadBalancer.realIPFrom", v.trusted, "set_real_ip_from")
	}
	if v.certificate != "" {
		r.add("tls.certificateFile", v.certificate, "ssl_certificate")
		if v.key != "" {
			r.add("tls.keyFile", v.key, "ssl_certificate_key")
		}
	}
	if slices.Equal(v.protocols, []string{"TLSv1.3"}) {
		r.add("tls.minVersion", "1.3", "ssl_protocols")
	}
}

// unsaid tells of a directive that kasgen's vhosts do not write.
func (r *reading) unsaid(d *nginxconf.Directive) {
	name := d.Name.Value
	text := strings.Join(append([]string{name}, d.Values()...), " ")
	const fix = "keep it in a vhost of your own, or in custom_gitlab_server_config where the vhost stays Omnibus's"
	value := strings.Join(d.Values(), " ")
	for _, k := range frontKeys() {
		if k.name == name && strings.HasPrefix(name, "ssl_") {
			if !slices.Contains(k.usual, value) {
				r.warnAt(k.warn, d.Name, text, k.why, fix)
			}
			return
		}
	}
	switch usual := usualHeaders()[strings.Split(value, " ")[0]]; {
	case name == "proxy_set_header" && len(d.Args) == 2 && !slices.Contains(usual, d.Args[1].Value):
		r.warnAt(true, d.Name, text, "kasgen's own vhost sends kas Omnibus's default headers alone", fix)
		return
	case name == "real_ip_header" && !strings.EqualFold(value, "X-Forwarded-For") && value != "proxy_protocol":
		r.warnAt(true, d.Name, text, "kasgen's own vhost takes clients' addresses from X-Forwarded-For, or a PROXY header", "have the balancer before this one send that")
		return
	}
	for _, prefix := range []string{"proxy_", "grpc_", "client_", "http2", "keepalive_", "gzip", "real_ip_", "send_timeout", "server_tokens", "access_log", "error_log",
		"error_page", "disable_symlinks", "root", "return", "add_header Strict-Transport-Security"} {
		if strings.HasPrefix(text, prefix) {
			if (name == "proxy_read_timeout" || name == "grpc_read_timeout") && !slices.Contains([]string{"2h", "120m", "7200", "7200s"}, value) {
				r.loseAt(d.Name, text, "kasgen has one limit for silence, which is 2 h and stands in every direction", "set timeouts.idle if that is not to be")
			}
			return // kasgen's has its own
		}
	}
	r.warnAt(true, d.Name, text, "kasgen's vhost does not say it", fix)
}

func (r *reading) loseAt(at nginxconf.Word, what, why, fix string) {
	r.warnAt(false, at, what, why, fix)
}

func (r *reading) warnAt(warn bool, at nginxconf.Word, what, why, fix string) {
	l := Lost{Key: place(at) + ": " + what, Why: why, Fix: fix, Warning: warn}
	if !slices.Contains(r.d.Lost, l) { // two servers may share an upstream
		r.d.Lost = append(r.d.Lost, l)
	}
}

func place(w nginxconf.Word) string { return fmt.Sprintf("%s:%d", w.Pos.File, w.Pos.Line) }
