package probe

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"kasgen/internal/haproxyconf"
)

// suspects are the lines of a frontend and its backend that can have made c
// what it is.
func (p *proxied) suspects(c *Check, e *endpoint) []suspect {
	bind := p.bind.Values()
	secure := slices.Contains(bind, "ssl")
	at := func(l *haproxyconf.Line, say string) []suspect { return []suspect{{l.Words[0].Pos, say}} }
	switch c.Code {
	case codeProxy:
		if slices.Contains(bind, "accept-proxy") {
			return at(p.bind, "the bind asks for a PROXY header")
		}
		return at(p.bind, "the bind asks for no PROXY header")
	case codeTLS:
		if !secure && (p.http || c.cause == causeCleartext) {
			return at(p.bind, "the bind does not end TLS")
		}
		return nil
	case codeChain, codeExpiry:
		if secure {
			return at(p.bind, "the certificate that the balancer shows")
		}
	case codeCertName:
		return p.names(c, e, secure)
	case codeALPN:
		if secure {
			return at(p.bind, "the balancer's ALPN, in its order of preference: "+orNone(after(bind, "alpn")))
		}
	case codeHTTP2Only:
		return firstOf(p.lineWith("server", "proto h2", "in HTTP/2 there are no upgrades"), p.lineWith("server", "", "what answers in HTTP/2"))
	case codeUpgrade, codeWebSocket:
		return firstOf(p.lineWith("http-request", "del-header", "a header is taken away"), p.lineWith("server", "proto h2", "in HTTP/2 there are no upgrades"), p.lineWith("http-request", "deny", "requests are refused"))
	case codeAgentPort:
		return p.choice()
	case codeNotKAS:
		return firstOf(p.lineWith("http-request", "deny", "requests are refused"), p.lineWith("http-request", "return", "requests are answered here"), p.choice())
	case codeGRPC:
		return p.grpc(secure)
	case codeGateway:
		if p.http {
			return firstOf(p.lineWith("option", "httpchk", "a check that kas may not answer as expected"), p.tls(), p.lineWith("server", "proto h2", "HTTP/2 to what may not speak it"), p.lineWith("server", "", "the balancer's backend"))
		}
	case codeErrorPage:
		return firstOf(p.lineWith("errorfile", "", "a page in the place of an answer"), p.lineWith("http-response", "return", "a page in the place of an answer"))
	case codeIdle:
		return p.timeout(c.limit)
	}
	return nil
}

// grpc are lines that keep gRPC from kas.
func (p *proxied) grpc(secure bool) []suspect {
	bind := p.bind.Values()
	if secure && !slices.Contains(strings.Split(after(bind, "alpn"), ","), "h2") {
		return []suspect{{p.bind.Words[0].Pos, "the balancer's ALPN has no h2: " + orNone(after(bind, "alpn"))}}
	}
	if !p.http {
		return nil
	}
	if p.server != nil && after(p.server.Values(), "proto") != "h2" {
		return []suspect{{p.server.Words[0].Pos, "HTTP/1.1 to this server, without proto h2"}}
	}
	return p.lineWith("http-request", "deny", "requests are refused")
}

// names are lines by which a name comes to somebody else.
func (p *proxied) names(c *Check, e *endpoint, secure bool) []suspect {
	if secure {
		return []suspect{{p.bind.Words[0].Pos, "the certificate that the balancer shows"}}
	}
	if p.chosen != nil || c.cause != causeRefused && (e.s == nil || e == e.s.kas) {
		return nil // it was chosen for its name, or is the one that needs no rule
	}
	for _, l := range p.frontend.Lines {
		if v := strings.Join(l.Values(), " "); strings.HasPrefix(v, "use_backend ") && strings.Contains(v, "_sni") {
			return []suspect{{l.Words[0].Pos, "it does not choose " + e.host + ", which goes to default_backend"}}
		}
	}
	return nil
}

// tls is the line by which HAProxy speaks TLS to its server, if it does.
func (p *proxied) tls() []suspect {
	if p.server == nil || p.secured() == nil {
		return nil
	}
	return []suspect{{p.secured().Words[0].Pos, "TLS to what may not speak it, or shows another certificate"}}
}

// choice is what sends a client to its backend.
func (p *proxied) choice() []suspect {
	if p.chosen != nil {
		return []suspect{{p.chosen.Words[0].Pos, "it sends the path to the backend " + p.backend.Name()}}
	}
	if p.http {
		return p.lineWith("default_backend", "", "no rule takes the path, which goes here")
	}
	return nil
}

func orNone(list string) string {
	if list == "" {
		return "none"
	}
	return list
}

func firstOf(lists ...[]suspect) []suspect {
	for _, l := range lists {
		if len(l) > 0 {
			return l
		}
	}
	return nil
}

// lineWith is the first line that begins with keyword and has words in it,
// one behind the other.
func (p *proxied) lineWith(keyword, words, say string) []suspect {
	for _, l := range p.lines() {
		if l.Words[0].Value == keyword && strings.Contains(" "+strings.Join(l.Values()[1:], " "), words) {
			return []suspect{{l.Words[0].Pos, say}}
		}
	}
	return nil
}

// timeout is the line whose limit is nearest to what was measured.
func (p *proxied) timeout(measured time.Duration) []suspect {
	var best []suspect
	var off time.Duration
	for _, l := range p.lines() {
		v := l.Values()
		if v[0] != "timeout" || len(v) < 3 || !slices.Contains([]string{"client", "server", "tunnel", "client-fin", "server-fin", "http-request"}, v[1]) {
			continue
		}
		d, ok := haproxyTime(v[2])
		if diff := (d - measured).Abs(); ok && near(d, measured) && (best == nil || diff < off) {
			best, off = []suspect{{l.Words[0].Pos, "a limit of " + d.String()}}, diff
		}
	}
	return best
}

// near says whether a limit can be what was measured.
func near(limit, measured time.Duration) bool {
	return (limit - measured).Abs() <= max(2*time.Second, limit/coarse)
}

// haproxyTime reads a number with a unit of HAProxy, milliseconds if it has
// none.
func haproxyTime(text string) (time.Duration, bool) {
	for _, u := range []struct {
		suffix string
		unit   time.Duration
	}{{"us", time.Microsecond}, {"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}, {"", time.Millisecond}} {
		if digits, ok := strings.CutSuffix(text, u.suffix); ok {
			n, err := strconv.Atoi(digits)
			return time.Duration(n) * u.unit, err == nil
		}
	}
	return 0, false
}
