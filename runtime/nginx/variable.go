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

// part is a piece of a text: a variable's name, or words that stand for
// themselves.
type part struct{ variable, text string }

// parts cuts a text at its variables: $name and ${name}.
func (l *loader) parts(w nginxconf.Word) []part {
	var out []part
	rest := w.Value
	for {
		i := strings.IndexByte(rest, '$')
		if i < 0 {
			if rest != "" {
				out = append(out, part{text: rest})
			}
			return out
		}
		if i > 0 {
			out = append(out, part{text: rest[:i]})
		}
		rest = rest[i+1:]
		name := ""
		if inner, ok := strings.CutPrefix(rest, "{"); ok {
			var closed bool
			if name, rest, closed = strings.Cut(inner, "}"); !closed {
				l.arguments(w, "the closing bracket in %q is missing", w.Value)
				return nil
			}
		} else {
			name = rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"))]
			rest = rest[len(name):]
		}
		if name == "" {
			l.arguments(w, "invalid variable name in %q", w.Value)
			return nil
		}
		out = append(out, part{variable: name})
	}
}

// value is the text as a function of the client.
func (l *loader) value(w nginxconf.Word) value {
	var values []value
	for _, p := range l.parts(w) {
		if p.variable == "" {
			values = append(values, func(*balancer.View) string { return p.text })
			continue
		}
		if v := l.variable(p.variable, w); v != nil {
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
	l.reference(w, fmt.Sprintf("unknown variable $%s", name), name, known)
	return nil
}

func (l *loader) reference(w nginxconf.Word, what, name string, known []string) {
	fix := "define it"
	if n := nearest(name, known); n != "" {
		fix = fmt.Sprintf("did you mean %q?", n)
	}
	l.add(codeReference, w.Pos, what, "the name is not defined in this file, or the embedded runtime does not have it", fix)
}
