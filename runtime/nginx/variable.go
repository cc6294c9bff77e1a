package nginx

import (
	"fmt"
	"strings"

	"kasgen/internal/nginxconf"
	"kasgen/runtime/balancer"
)

// value is text with variables, as it reads for one client.
type value func(v *balancer.View) string

// builtin is the variables that nginx's stream modules bring along.
func builtin(name string) value {
	switch name {
	case "ssl_preread_server_name":
		return func(v *balancer.View) string {
			h, _ := v.Hello()
			return h.ServerName
		}
	case "ssl_preread_alpn_protocols":
		return func(v *balancer.View) string {
			h, _ := v.Hello()
			return strings.Join(h.ALPN, ",")
		}
	case "ssl_server_name":
		return func(v *balancer.View) string {
			if v.TLS == nil {
				return ""
			}
			return v.TLS.ServerName
		}
	case "ssl_alpn_protocol":
		return func(v *balancer.View) string {
			if v.TLS == nil {
				return ""
			}
			return v.TLS.NegotiatedProtocol
		}
	case "remote_addr":
		return func(v *balancer.View) string { return v.Client.Addr().String() }
	}
	return nil
}

var builtinNames = [...]string{"ssl_preread_server_name", "ssl_preread_alpn_protocols", "ssl_server_name", "ssl_alpn_protocol", "remote_addr"}

// value is the text as a function of the client.
func (l *loader) value(w nginxconf.Word) value {
	var values []value
	for _, p := range l.Parts(w) {
		if p.Variable == "" {
			values = append(values, func(*balancer.View) string { return p.Text })
			continue
		}
		if v := l.variable(p.Variable, w); v != nil {
			values = append(values, v)
		}
	}
	if len(values) == 1 {
		return values[0]
	}
	return func(v *balancer.View) string {
		var b strings.Builder
		for _, f := range values {
			b.WriteString(f(v))
		}
		return b.String()
	}
}

func (l *loader) variable(name string, w nginxconf.Word) value {
	if m := l.maps[name]; m != nil {
		return m.lookup
	}
	if v := builtin(name); v != nil {
		return v
	}
	known := builtinNames[:]
	for n := range l.maps {
		known = append(known[:len(known):len(known)], n)
	}
	l.Reference(w, fmt.Sprintf("unknown variable $%s", name), name, known)
	return nil
}
