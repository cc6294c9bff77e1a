package probe

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"kasgen/internal/nginxconf"
)

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
	switch c.ID {
	case CheckAgentWebSocket, CheckIdleWebSocket:
		return e.agents
	case CheckGRPC, CheckGRPCNoALPN, CheckGRPCHTTP1, CheckGRPCBody, CheckIdleGRPC:
		return method
	case CheckRedirect:
		if from, _, ok := strings.Cut(c.Observed, " is answered"); ok && !strings.HasSuffix(from, "/") {
			return from + "/"
		}
		return e.agents
	default:
		return e.proxy + "version"
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

func (l located) here(say string) *suspect { return &suspect{l.scopes[0].Name.Pos, say} }

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
	if c.ID == CheckIdleGRPC {
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
