package probe

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"kasgen/internal/nginxconf"
)

// suspects are the lines of a vhost that can have made c what it is.
func (v *vhost) suspects(c *Check, e *endpoint) []suspect {
	at := func(d *nginxconf.Directive, say string) []suspect {
		if d == nil {
			return nil
		}
		return []suspect{{d.Name.Pos, say}}
	}
	unnamed := at(v.server, "no server has server_name "+e.host+"; this one answers for it")
	secure := v.listening("ssl") != nil
	switch c.Code {
	case codeTLS:
		if d := firstDirective(directive(v.server.Block, "ssl_protocols"), directive(v.http.Block, "ssl_protocols")); d != nil && c.cause == causeVersion {
			return at(d, "the versions of TLS that nginx speaks")
		}
		if !secure {
			return at(v.listen, "it does not end TLS")
		}
		return nil
	case codeProxy:
		if d := v.listening("proxy_protocol"); d != nil {
			return at(d, "it asks for a PROXY header, as its address does for every server")
		}
		return at(v.listen, "it asks for no PROXY header")
	case codeALPN:
		return v.withoutHTTP2()
	case codeChain, codeExpiry:
		return v.certificate()
	case codeCertName:
		if !v.named {
			return unnamed
		}
		return v.certificate()
	case codeGRPCALPN:
		return at(v.listen, "nginx goes by ALPN alone")
	}
	l := v.location(c.asked(e).path)
	switch c.Code {
	case codeRedirect:
		return at(l.scopes[0], "nginx redirects the path without its slash to this location")
	case codeWebSocket, codeUpgrade:
		return l.upgrade(c.cause)
	case codeGRPC, codeHTTP2Only:
		if s := v.withoutHTTP2(); s != nil {
			return s
		}
		if l.own("grpc_pass") == nil {
			return at(firstDirective(l.own("proxy_pass"), l.scopes[0]), "gRPC comes here, and there is no grpc_pass")
		}
		return nil
	case codeNotKAS, codeAgentPort:
		if !v.named {
			return unnamed
		}
		if d := l.pass(); c.Code == codeAgentPort && d != nil && len(d.Args) > 0 && l.scopes[0].Args[0].Value != "/" {
			to := passedTo(v.http, d, d.Args[0].Value)
			return []suspect{{to.at, "where the front sends " + l.scopes[0].Args[len(l.scopes[0].Args)-1].Value}}
		}
		return at(l.scopes[0], "this takes the path")
	case codePrefix, codeGateway:
		return at(firstDirective(l.pass(), l.scopes[0]), "where the front sends it")
	case codeErrorPage:
		return at(firstDirective(l.set("error_page"), l.set("proxy_intercept_errors")), "a page in the place of an answer")
	case codeDenied:
		if c.cause == causeAuthorization {
			return l.settingHeader("Authorization")
		}
		return nil
	case codeSPDY:
		return at(firstDirective(l.own("if"), l.own("return")), "SPDY is refused here")
	case codeBuffering:
		return l.setting("proxy_buffering", "proxy_pass", "nginx keeps answers unless proxy_buffering is off")
	case codeBody:
		return l.setting("client_max_body_size", "", "the limit is 1 MiB where client_max_body_size is not set")
	case codeIdle:
		return l.timeout(c)
	default:
		return nil
	}
}

// inStream looks at a server of the TCP balancer.
func (l located) inStream(c *Check, listen *nginxconf.Directive) []suspect {
	name, say := map[string]string{codeALPN: "ssl_alpn", codeGRPC: "ssl_alpn", codeChain: "ssl_certificate", codeExpiry: "ssl_certificate",
		codeCertName: "ssl_certificate", codeGateway: "proxy_pass"}[c.Code], "the balancer's part in it"
	switch d := l.set(name); {
	case c.Code == codeProxy:
		return []suspect{{listen.Name.Pos, "it asks for " + header(map[bool]string{true: anyHeader}[slices.Contains(listen.Values(), "proxy_protocol")])}}
	case c.Code == codeIdle:
		if d := l.set("proxy_timeout"); d != nil {
			if limit, ok := nginxTime(d.Values()); ok && near(limit, c.limit) {
				return []suspect{{d.Name.Pos, "a limit of " + limit.String()}}
			}
		}
		return nil
	case d != nil:
		return []suspect{{d.Name.Pos, say}}
	default:
		return nil
	}
}

// listening is a listen directive with a parameter, of any server on the
// address: what one of them says holds for all, of http2 up to nginx 1.25.
func (v *vhost) listening(parameter string) *nginxconf.Directive {
	bind := bindOf(v.listen)
	if slices.Contains(v.listen.Values(), parameter) {
		return v.listen
	}
	for _, server := range within(v.http.Block.Directives, "server") {
		if server.Block == nil {
			continue
		}
		d := (&vhost{server: server}).listens(func(b string) bool { return b == bind })
		if d != nil && slices.Contains(d.Values(), parameter) {
			return d
		}
	}
	return nil
}

// withoutHTTP2 is a listener with TLS on which no server allows HTTP/2.
func (v *vhost) withoutHTTP2() []suspect {
	if v.listening("http2") != nil {
		return nil
	}
	if d := firstDirective(directive(v.server.Block, "http2"), directive(v.http.Block, "http2")); d != nil {
		if slices.Contains(d.Values(), "on") {
			return nil
		}
		return []suspect{{d.Name.Pos, "without http2 there is no gRPC"}}
	}
	return []suspect{{v.listen.Name.Pos, "without http2 there is no gRPC"}}
}

func (v *vhost) certificate() []suspect {
	if d := firstDirective(directive(v.server.Block, "ssl_certificate"), directive(v.http.Block, "ssl_certificate")); d != nil {
		return []suspect{{d.Name.Pos, "the certificate that nginx shows"}}
	}
	return nil
}

// pass is where the location sends requests; nil: it answers them.
func (l located) pass() *nginxconf.Directive {
	return firstDirective(l.own("proxy_pass"), l.own("grpc_pass"))
}

// settingHeader is what sets a header of requests to kas.
func (l located) settingHeader(name string) []suspect {
	for _, s := range l.scopes {
		for _, d := range s.Block.Directives {
			if d.Name.Value == "proxy_set_header" && len(d.Args) == 2 && strings.EqualFold(d.Args[0].Value, name) {
				return []suspect{{d.Name.Pos, "the header that kas gets"}}
			}
		}
	}
	return nil
}

// setting is the directive that holds, or else one that it is missing beside.
func (l located) setting(name, beside, missing string) []suspect {
	if d := l.set(name); d != nil {
		return []suspect{{d.Name.Pos, name + " " + strings.Join(d.Values(), " ")}}
	}
	return []suspect{{firstDirective(l.own(beside), l.scopes[0]).Name.Pos, missing}}
}

// upgrade is what loses an upgrade on the way to kas.
func (l located) upgrade(why cause) []suspect {
	pass := firstDirective(l.own("proxy_pass"), l.scopes[0])
	at := func(d *nginxconf.Directive, say string) []suspect { return []suspect{{d.Name.Pos, say}} }
	version := l.set("proxy_http_version")
	if version != nil && !slices.Contains(version.Values(), "1.1") {
		return at(version, "there are no upgrades in HTTP/1.0")
	}
	if version == nil {
		return at(pass, "without proxy_http_version 1.1 nginx speaks HTTP/1.0")
	}
	// The nearest level that sets any header sets all of them.
	for _, s := range l.scopes {
		headers := map[string]*nginxconf.Directive{}
		for _, d := range s.Block.Directives {
			if d.Name.Value == "proxy_set_header" && len(d.Args) == 2 {
				headers[strings.ToLower(d.Args[0].Value)] = d
			}
		}
		if len(headers) == 0 {
			continue
		}
		for _, name := range []string{"upgrade", "connection"} {
			d := headers[name]
			if d == nil && (why != causeUpHeader || name == "upgrade") && (why != causeConnHeader || name == "connection") {
				return at(pass, "no proxy_set_header for "+name+" holds here; a location with a proxy_set_header of its own inherits none")
			}
			if d == nil {
				continue
			}
			value := d.Args[1].Value
			if _, entry := mapped(l.scopes[len(l.scopes)-1], value, "websocket"); entry != nil && !strings.EqualFold(entry.Args[0].Value, "upgrade") {
				return at(entry, "the header that kas gets, by the variable "+value)
			}
			if !strings.Contains(value, "$") && !strings.EqualFold(value, "upgrade") {
				return at(d, "the header that kas gets")
			}
		}
		return nil
	}
	return at(pass, "no proxy_set_header for Upgrade and Connection holds here")
}

// nginxDefault is nginx's limit where nothing is said.
const nginxDefault = 60 * time.Second

// timeout is the line whose limit is nearest to what was measured.
func (l located) timeout(c *Check) []suspect {
	names := []string{"proxy_read_timeout", "proxy_send_timeout"}
	switch {
	case c.ID == CheckIdleAnswer:
		names = []string{"grpc_read_timeout"}
	case c.ID.grpc():
		names = []string{"client_body_timeout", "grpc_send_timeout", "grpc_read_timeout", "keepalive_timeout"}
	}
	var missing []string
	for _, name := range names {
		d := l.set(name)
		if d == nil {
			missing = append(missing, name)
			continue
		}
		if limit, ok := nginxTime(d.Values()); ok && near(limit, c.limit) {
			return []suspect{{d.Name.Pos, "a limit of " + limit.String()}}
		}
	}
	if len(missing) > 0 && near(nginxDefault, c.limit) {
		return []suspect{{l.scopes[0].Name.Pos, "without " + missing[0] + " the limit is 60 s"}}
	}
	return nil
}

// nginxUnits are nginx's units of time; a number without one is of seconds.
var nginxUnits = map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
	"w": 7 * 24 * time.Hour, "M": 30 * 24 * time.Hour, "y": 365 * 24 * time.Hour, "": time.Second}

// nginxTime reads a time, which can have several parts, like 1m30s.
func nginxTime(words []string) (time.Duration, bool) {
	if len(words) == 0 || words[0] == "" {
		return 0, false
	}
	var total time.Duration
	for rest := strings.ReplaceAll(words[0], " ", ""); rest != ""; {
		digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
		rest = rest[len(digits):]
		unit := rest[:len(rest)-len(strings.TrimLeft(rest, "mshdwMy"))]
		rest = rest[len(unit):]
		n, err := strconv.Atoi(digits)
		of, ok := nginxUnits[unit]
		if err != nil || !ok {
			return 0, false
		}
		total += time.Duration(n) * of
	}
	return total, true
}
