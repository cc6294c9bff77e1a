package probe

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"kasgen/internal/haproxyconf"
)

// inHAProxy looks at haproxy.cfg.
func (b *Bundle) inHAProxy(c *Check, _ *endpoint) *suspect {
	if b.haproxy == nil {
		return nil
	}
	switch c.Code {
	case codeProxy:
		return firstOf(b.lineWith("bind", "accept-proxy", "the bind asks for a PROXY header"), b.lineWith("server", "send-proxy", "the balancer sends a PROXY header"))
	case codeTLS:
		return firstOf(b.lineWith("server", "send-proxy", "what the balancer sends to, behind a PROXY header"), b.lineWith("bind", "accept-proxy", "the bind asks for a PROXY header"))
	case codeChain, codeExpiry, codeCertName:
		return b.lineWith("bind", "crt", "the certificate that the balancer shows")
	case codeALPN:
		return firstOf(b.lineWith("bind", "alpn", "the balancer's ALPN, in its order of preference"), b.lineWith("bind", "ssl", "the bind offers no ALPN"))
	case codeHTTP2Only, codeUpgrade, codeWebSocket:
		return firstOf(b.lineWith("http-request", "del-header", "a header is taken away"), b.lineWith("server", "proto h2", "in HTTP/2 there are no upgrades"), b.lineWith("http-request", "deny", "requests are refused"))
	case codeGRPC:
		if s := firstOf(b.lineWith("bind", "alpn", "the balancer's ALPN"), b.httpServer()); s != nil {
			return s
		}
		return b.lineWith("bind", "ssl", "the bind offers no ALPN")
	case codeGateway:
		return firstOf(b.lineWith("option", "httpchk", "a check that kas may not answer as expected"), b.lineWith("server", "proto h2", "HTTP/2 to what may not speak it"), b.lineWith("server", "", "the balancer's backend"))
	case codeErrorPage:
		return firstOf(b.lineWith("errorfile", "", "a page in the place of an answer"), b.lineWith("http-response", "return", "a page in the place of an answer"))
	case codeIdle:
		return b.timeout(c.limit)
	default:
		return nil
	}
}

func firstOf(list ...*suspect) *suspect {
	for _, s := range list {
		if s != nil {
			return s
		}
	}
	return nil
}

// lineWith is the first line that begins with keyword and has words in it,
// one behind the other.
func (b *Bundle) lineWith(keyword, words, say string) *suspect {
	for _, s := range b.haproxy.Sections {
		for _, l := range s.Lines {
			if l.Words[0].Value == keyword && strings.Contains(" "+strings.Join(l.Values()[1:], " "), words) {
				return &suspect{l.Words[0].Pos, say}
			}
		}
	}
	return nil
}

// httpServer is the first server that gets HTTP/1.1 from a proxy in HTTP mode.
func (b *Bundle) httpServer() *suspect {
	mode := "tcp" // of defaults
	for _, s := range b.haproxy.Sections {
		own := mode
		var server *haproxyconf.Line
		for _, l := range s.Lines {
			switch v := l.Values(); {
			case v[0] == "mode" && len(v) > 1:
				own = v[1]
			case v[0] == "server" && !strings.Contains(strings.Join(v, " "), "proto h2") && server == nil:
				server = l
			}
		}
		if s.Keyword() == "defaults" {
			mode = own
		}
		if server != nil && own == "http" {
			return &suspect{server.Words[0].Pos, "HTTP/1.1 to this server, without proto h2"}
		}
	}
	return nil
}

// timeout is the line whose limit is nearest to what was measured.
func (b *Bundle) timeout(measured time.Duration) *suspect {
	var best *suspect
	var off time.Duration
	for _, s := range b.haproxy.Sections {
		for _, l := range s.Lines {
			v := l.Values()
			if v[0] != "timeout" || len(v) < 3 || !slices.Contains([]string{"client", "server", "tunnel", "client-fin", "server-fin"}, v[1]) {
				continue
			}
			d, ok := haproxyTime(v[2])
			if diff := (d - measured).Abs(); ok && near(d, measured) && (best == nil || diff < off) {
				best, off = &suspect{l.Words[0].Pos, "a limit of " + d.String()}, diff
			}
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
