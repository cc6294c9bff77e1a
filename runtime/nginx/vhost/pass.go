package vhost

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"kasgen/internal/nginxconf"
	"kasgen/runtime/balancer"
)

// pass is the proxy_pass or grpc_pass of a location.
type pass struct {
	grpc     bool
	whole    *text // with variables: known for each request only
	place    place
	location string // the location's name, "" where it has no plain one
}

// place is where requests go.
type place struct {
	url    string // as it is written
	secure bool
	pool   *balancer.Pool
	host   string // $proxy_host
	port   string // $proxy_port
	uri    string // what replaces the location's part of the path
	hasURI bool
}

// passing is the settings of proxy_ and grpc_ directives.
type passing struct {
	setHeaders          []header
	connect, read, send time.Duration
	next                nextUpstream
	hide, pass          []string
	intercept           bool
	headSize            int
	tls                 upstreamTLS

	// Of proxy_pass only.
	version11                   bool
	buffering, requestBuffering bool
	cache                       *nginxconf.Word // where it is switched on; nil: off
	redirects                   []redirection
	noRedirects                 bool
	passHeaders, passBody       bool
}

// header is a name and what it is set to.
type header struct {
	name   string
	value  *text
	always bool // for add_header
}

// redirection is a proxy_redirect with two arguments.
type redirection struct{ from, to *text }

// nextUpstream says after which failures another server is asked.
type nextUpstream struct {
	onError, onTimeout, onInvalid, nonIdempotent bool
	statuses                                     []int
	tries                                        int
	within                                       time.Duration
}

// upstreamTLS is how https:// and grpcs:// are spoken.
type upstreamTLS struct {
	verify, sendName bool
	trusted          string // a file
	name             *text  // nil: $proxy_host
	min, max         uint16
}

// config is TLS for one place.
func (t *upstreamTLS) config(q *request, p *place) *tls.Config {
	name := p.host
	if h, _, err := net.SplitHostPort(name); err == nil {
		name = h
	}
	if t.name != nil {
		name = t.name.of(q)
	}
	// nginx verifies nothing unless it is told to, and says no name.
	c := &tls.Config{InsecureSkipVerify: !t.verify, MinVersion: t.min, MaxVersion: t.max}
	if t.verify {
		c.RootCAs = q.run.roots[t.trusted]
	}
	if t.sendName || t.verify {
		c.ServerName = name
	}
	return c
}

// resolve is where this request goes; not ok where that cannot be found out.
func (p *pass) resolve(q *request) (place, bool) {
	if p.whole == nil {
		return p.place, true
	}
	raw := p.whole.of(q)
	to, ok := parsePlace(raw, p.grpc)
	if !ok {
		return place{}, false
	}
	if u := q.run.config.upstreams[to.host]; u != nil {
		to.pool = u.Pool
		return to, true
	}
	// nginx has no resolver here, so that only an address will do.
	host := strings.Trim(strings.TrimSuffix(to.host, ":"+to.port), "[]")
	if _, err := netip.ParseAddr(host); err != nil {
		q.run.log.Error("no resolver defined to resolve a name", "name", host)
		return place{}, false
	}
	to.pool = single(net.JoinHostPort(host, to.port))
	return to, true
}

// parsePlace takes a URL of proxy_pass or grpc_pass apart. The pool is left
// open.
func parsePlace(raw string, grpc bool) (p place, ok bool) {
	schemes := [...]string{"http://", "https://"}
	if grpc {
		schemes = [...]string{"grpc://", "grpcs://"}
	}
	lower := strings.ToLower(raw)
	rest, p := "", place{url: raw}
	switch {
	case strings.HasPrefix(lower, schemes[0]):
		rest, p.port = raw[len(schemes[0]):], "80"
	case strings.HasPrefix(lower, schemes[1]):
		rest, p.port, p.secure = raw[len(schemes[1]):], "443", true
	case grpc:
		rest, p.port = raw, "80"
	default:
		return p, false
	}
	p.host = rest
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		p.host, p.uri, p.hasURI = rest[:i], rest[i:], true
	}
	if i := strings.LastIndexByte(p.host, ':'); i >= 0 && !strings.HasSuffix(p.host, "]") {
		given := p.host[i+1:]
		if given == p.port && !grpc {
			p.host = p.host[:i]
		}
		p.port = given
	}
	return p, p.host != ""
}

// headers is what a request has on its way to the upstream, and its host: what
// is set, then what the client sent under other names.
func (q *request) headers(s *passing, grpc bool) (host string, h http.Header) {
	h = http.Header{}
	taken := map[string]bool{
		"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Te": true, "Keep-Alive": true, "Expect": true, "Upgrade": true, "Connection": true,
	}
	host = q.upstream.host
	for _, set := range s.setHeaders {
		if taken[set.name] = true; set.name == "Host" {
			host = set.value.of(q)
			continue
		}
		if v := set.value.of(q); v != "" {
			h[set.name] = append(h[set.name], v)
		}
	}
	if grpc {
		for _, v := range q.r.Header["Te"] {
			if strings.EqualFold(v, "trailers") {
				h["Te"] = []string{"trailers"}
			}
		}
	} else if !s.sets("Connection") {
		h["Connection"] = []string{"close"}
	}
	if !s.passHeaders {
		return host, h
	}
	for name, values := range q.r.Header {
		if !taken[name] && (validHeader(name, q.settings.underscores) || !q.settings.ignoreInvalid) {
			h[name] = values
		}
	}
	return host, h
}

func (s *passing) sets(name string) bool {
	for _, h := range s.setHeaders {
		if h.name == name {
			return true
		}
	}
	return false
}

// validHeader is ignore_invalid_headers: letters, digits and hyphens.
func validHeader(name string, underscores bool) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9', c == '-', c == '_' && underscores:
		default:
			return false
		}
	}
	return true
}
