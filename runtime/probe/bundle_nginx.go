package probe

import (
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"kasgen/internal/nginxconf"
)

// vhost is the server of an http block that takes a name.
type vhost struct {
	http, server *nginxconf.Directive
	named        bool // by name, not as the default
}

// inWeb looks at the vhosts.
func (b *Bundle) inWeb(c *Check, e *endpoint) *suspect {
	if b.web == nil {
		return nil
	}
	v := findVhost(b.web, e)
	if v == nil {
		return nil
	}
	switch c.Code {
	case codeTLS:
		if d := firstDirective(directive(v.server.Block, "ssl_protocols"), directive(v.http.Block, "ssl_protocols")); d != nil && c.cause == causeVersion {
			return &suspect{d.Name.Pos, "the versions of TLS that nginx speaks"}
		}
		return v.listen(c.Code)
	case codeProxy, codeALPN:
		return v.listen(c.Code)
	case codeChain, codeExpiry:
		return v.certificate()
	case codeCertName:
		if !v.named {
			return &suspect{v.server.Name.Pos, "no server has server_name " + e.host + "; this one answers for it"}
		}
		return v.certificate()
	}
	l := v.location(c.path(e))
	switch c.Code {
	case codeRedirect:
		return l.here("nginx redirects the path without its slash to this location")
	case codeWebSocket, codeUpgrade:
		return l.upgrade(c.cause)
	case codeGRPCALPN:
		if listen, _ := v.listens(e.port); listen != nil {
			return &suspect{listen.Name.Pos, "nginx goes by ALPN alone"}
		}
		return nil
	case codeGRPC, codeHTTP2Only:
		if s := v.listen(codeGRPC); s != nil {
			return s
		}
		if l.own("grpc_pass") == nil {
			return l.here("gRPC comes here, and there is no grpc_pass")
		}
		return nil
	case codeNotKAS, codeAgentPort:
		if !v.named {
			return &suspect{v.server.Name.Pos, "no server has server_name " + e.host + "; this one answers for it"}
		}
		return l.here("this takes the path")
	case codePrefix, codeGateway:
		if d := firstDirective(l.own("proxy_pass"), l.own("grpc_pass")); d != nil {
			return &suspect{d.Name.Pos, "where the front sends it"}
		}
		return l.here("this takes the path")
	case codeErrorPage:
		if d := firstDirective(l.set("error_page"), l.set("proxy_intercept_errors")); d != nil {
			return &suspect{d.Name.Pos, "a page in the place of an answer"}
		}
		return nil
	case codeDenied:
		for _, s := range l.scopes {
			for _, d := range s.Block.Directives {
				if d.Name.Value == "proxy_set_header" && len(d.Args) == 2 && strings.EqualFold(d.Args[0].Value, "Authorization") && c.cause == causeAuthorization {
					return &suspect{d.Name.Pos, "the header that kas gets"}
				}
			}
		}
		return nil
	case codeSPDY:
		for _, d := range l.scopes[0].Block.Directives {
			if d.Name.Value == "if" || d.Name.Value == "return" {
				return &suspect{d.Name.Pos, "SPDY is refused here"}
			}
		}
		return nil
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

// inStream looks at the TCP balancer.
func (b *Bundle) inStream(c *Check, _ *endpoint) *suspect {
	if b.stream == nil {
		return nil
	}
	for _, stream := range b.stream.Directives {
		if stream.Name.Value != "stream" || stream.Block == nil {
			continue
		}
		for _, server := range stream.Block.Directives {
			if server.Name.Value != "server" || server.Block == nil {
				continue
			}
			l := located{scopes: []*nginxconf.Directive{server, stream}}
			name, say := map[string]string{codeProxy: "proxy_protocol", codeTLS: "proxy_protocol", codeALPN: "ssl_alpn", codeGRPC: "ssl_alpn",
				codeChain: "ssl_certificate", codeExpiry: "ssl_certificate", codeCertName: "ssl_certificate", codeGateway: "proxy_pass", codeIdle: "proxy_timeout"}[c.Code], "the balancer's part in it"
			if d := l.set(name); d != nil {
				return &suspect{d.Name.Pos, say}
			}
		}
	}
	return nil
}

// path is what the check asked for.
func (c *Check) path(e *endpoint) string {
	switch c.Layer {
	case LayerAgentWebSocket, LayerIdleWebSocket:
		return e.agents
	case LayerGRPC, LayerGRPCNoALPN, LayerGRPCHTTP1, LayerGRPCBody, LayerIdleGRPC:
		return method
	case LayerRedirect:
		if from, _, ok := strings.Cut(c.Observed, " is answered"); ok && !strings.HasSuffix(from, "/") {
			return from + "/"
		}
		return e.agents
	default:
		return e.proxy + "version"
	}
}

// findVhost is the server for e's name on ports with TLS, as nginx chooses it.
func findVhost(f *nginxconf.File, e *endpoint) *vhost {
	if v := vhostWhere(f, e, true); v != nil {
		return v
	}
	return vhostWhere(f, e, false)
}

// vhostWhere looks among the servers of the port or with TLS, or among all.
func vhostWhere(f *nginxconf.File, e *endpoint, fitting bool) *vhost {
	var first, standard *vhost
	for _, http := range f.Directives {
		if http.Name.Value != "http" || http.Block == nil {
			continue
		}
		for _, server := range http.Block.Directives {
			if server.Name.Value != "server" || server.Block == nil {
				continue
			}
			v := &vhost{http: http, server: server}
			listen, fits := v.listens(e.port)
			if fitting && !fits {
				continue
			}
			if listen != nil && slices.Contains(listen.Values(), "default_server") {
				standard = v
			}
			if first == nil {
				first = v
			}
			for _, d := range server.Block.Directives {
				if d.Name.Value == "server_name" && slices.ContainsFunc(d.Values(), func(n string) bool { return nameMatches(n, e.host) }) {
					v.named = true
					return v
				}
			}
		}
	}
	if standard != nil {
		return standard
	}
	return first
}

// listens is the listen directive of a port, or else of any with TLS, since the
// port may be another before the balancer; else, where none fits, any.
func (v *vhost) listens(port string) (listen *nginxconf.Directive, fits bool) {
	var secure, other *nginxconf.Directive
	for _, d := range v.server.Block.Directives {
		if d.Name.Value != "listen" || len(d.Args) == 0 {
			continue
		}
		own := d.Args[0].Value
		if _, p, err := net.SplitHostPort(own); err == nil {
			own = p
		}
		if own == port {
			return d, true
		}
		if slices.Contains(d.Values(), "ssl") {
			secure = d
		}
		other = d
	}
	return firstDirective(secure, other), secure != nil
}

func nameMatches(pattern, host string) bool {
	switch {
	case strings.HasPrefix(pattern, "~"):
		re, err := regexp.Compile("(?i)" + pattern[1:])
		return err == nil && re.MatchString(host)
	case strings.HasPrefix(pattern, "*."):
		return strings.HasSuffix(host, pattern[1:])
	case strings.HasPrefix(pattern, "."):
		return host == pattern[1:] || strings.HasSuffix(host, pattern)
	default:
		return strings.EqualFold(pattern, host)
	}
}

// listen is the listen directive, where it can do what was observed.
func (v *vhost) listen(code string) *suspect {
	for _, d := range v.server.Block.Directives {
		if d.Name.Value != "listen" {
			continue
		}
		words := d.Values()
		switch secure := slices.Contains(words, "ssl"); {
		case code == codeProxy && slices.Contains(words, "proxy_protocol"):
			return &suspect{d.Name.Pos, "it asks for a PROXY header"}
		case code == codeProxy:
			return &suspect{d.Name.Pos, "it asks for no PROXY header"}
		case code == codeTLS && !secure:
			return &suspect{d.Name.Pos, "it does not end TLS"}
		case (code == codeGRPC || code == codeALPN) && secure && !slices.Contains(words, "http2") && directive(v.server.Block, "http2") == nil:
			return &suspect{d.Name.Pos, "without http2 there is no gRPC"}
		}
	}
	return nil
}

func (v *vhost) certificate() *suspect {
	if d := firstDirective(directive(v.server.Block, "ssl_certificate"), directive(v.http.Block, "ssl_certificate")); d != nil {
		return &suspect{d.Name.Pos, "the certificate that nginx shows"}
	}
	return nil
}

// located is a place in the file: a location, its server and http, or the
// server alone.
type located struct{ scopes []*nginxconf.Directive }

// location is where nginx looks for a path: exact, then regular expressions
// in their order unless the longest prefix forbids it, then that prefix.
func (v *vhost) location(path string) located {
	var best, exact, match *nginxconf.Directive
	length, final := -1, false
	for _, d := range v.server.Block.Directives {
		if d.Name.Value != "location" || d.Block == nil || len(d.Args) == 0 {
			continue
		}
		modifier, text := "", d.Args[0].Value
		if len(d.Args) > 1 {
			modifier, text = text, d.Args[1].Value
		}
		switch {
		case modifier == "=" && text == path:
			exact = d
		case (modifier == "~" || modifier == "~*") && match == nil:
			if re, err := regexp.Compile(map[string]string{"~*": "(?i)"}[modifier] + text); err == nil && re.MatchString(path) {
				match = d
			}
		case (modifier == "" || modifier == "^~") && strings.HasPrefix(path, text) && len(text) > length:
			best, length, final = d, len(text), modifier == "^~"
		}
	}
	if match != nil && !final {
		best = match
	}
	if exact != nil {
		best = exact
	}
	if best == nil {
		return located{[]*nginxconf.Directive{v.server, v.http}}
	}
	return located{[]*nginxconf.Directive{best, v.server, v.http}}
}

func (l located) here(say string) *suspect { return &suspect{l.scopes[0].Name.Pos, say} }

// own is a directive of the location itself.
func (l located) own(name string) *nginxconf.Directive { return directive(l.scopes[0].Block, name) }

// set is the directive that holds here, inherited or not.
func (l located) set(name string) *nginxconf.Directive {
	for _, s := range l.scopes {
		if d := directive(s.Block, name); d != nil {
			return d
		}
	}
	return nil
}

// setting is the directive that holds, or else one that it is missing beside.
func (l located) setting(name, beside, missing string) *suspect {
	if d := l.set(name); d != nil {
		return &suspect{d.Name.Pos, name + " " + strings.Join(d.Values(), " ")}
	}
	if d := l.own(beside); d != nil {
		return &suspect{d.Name.Pos, missing}
	}
	return l.here(missing)
}

// upgrade is what loses an upgrade on the way to kas.
func (l located) upgrade(why cause) *suspect {
	pass := firstDirective(l.own("proxy_pass"), l.scopes[0])
	version := l.set("proxy_http_version")
	if version != nil && !slices.Contains(version.Values(), "1.1") {
		return &suspect{version.Name.Pos, "there are no upgrades in HTTP/1.0"}
	}
	if version == nil {
		return &suspect{pass.Name.Pos, "without proxy_http_version 1.1 nginx speaks HTTP/1.0"}
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
				return &suspect{pass.Name.Pos, "no proxy_set_header for " + name + " holds here; a location with a proxy_set_header of its own inherits none"}
			}
			if d != nil && !strings.Contains(d.Args[1].Value, "$") && !strings.EqualFold(d.Args[1].Value, "upgrade") {
				return &suspect{d.Name.Pos, "the header that kas gets"}
			}
		}
		return nil
	}
	return &suspect{pass.Name.Pos, "no proxy_set_header for Upgrade and Connection holds here"}
}

// nginxDefault is nginx's limit where nothing is said.
const nginxDefault = 60 * time.Second

// timeout is the line whose limit is nearest to what was measured.
func (l located) timeout(c *Check) *suspect {
	names := []string{"proxy_read_timeout", "proxy_send_timeout"}
	if c.Layer == LayerIdleGRPC {
		names = []string{"grpc_read_timeout", "grpc_send_timeout", "client_body_timeout", "keepalive_timeout"}
	}
	var missing []string
	for _, name := range names {
		d := l.set(name)
		if d == nil {
			missing = append(missing, name)
			continue
		}
		if limit, ok := nginxTime(d.Values()); ok && near(limit, c.limit) {
			return &suspect{d.Name.Pos, "a limit of " + limit.String()}
		}
	}
	if len(missing) > 0 && near(nginxDefault, c.limit) {
		return l.here("without " + missing[0] + " the limit is 60 s")
	}
	return nil
}

// nginxTime reads one time with a unit, seconds if it has none.
func nginxTime(words []string) (time.Duration, bool) {
	if len(words) == 0 {
		return 0, false
	}
	for _, u := range []struct {
		suffix string
		unit   time.Duration
	}{{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}, {"", time.Second}} {
		if digits, ok := strings.CutSuffix(words[0], u.suffix); ok {
			n, err := strconv.Atoi(digits)
			return time.Duration(n) * u.unit, err == nil
		}
	}
	return 0, false
}

func directive(b *nginxconf.Block, name string) *nginxconf.Directive {
	for _, d := range b.Directives {
		if d.Name.Value == name {
			return d
		}
	}
	return nil
}

func firstDirective(list ...*nginxconf.Directive) *nginxconf.Directive {
	for _, d := range list {
		if d != nil {
			return d
		}
	}
	return nil
}
