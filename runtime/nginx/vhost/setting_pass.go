package vhost

import (
	"strconv"
	"strings"
	"time"

	"kasgen/internal/nginxconf"
)

// passSettings are those that proxy_ and grpc_ have in common.
func passSettings(prefix string) map[string]setting {
	of := func(s *settings) *passing { return &s.proxy }
	if prefix == "grpc" {
		of = func(s *settings) *passing { return &s.grpc }
	}
	out := map[string]setting{
		"connect_timeout":  limit(everywhere, func(s *settings) *time.Duration { return &of(s).connect }),
		"read_timeout":     limit(everywhere, func(s *settings) *time.Duration { return &of(s).read }),
		"send_timeout":     limit(everywhere, func(s *settings) *time.Duration { return &of(s).send }),
		"set_header":       setHeaders(of),
		"hide_header":      namesOf(func(s *settings) *[]string { return &of(s).hide }),
		"pass_header":      namesOf(func(s *settings) *[]string { return &of(s).pass }),
		"intercept_errors": switched(everywhere, func(s *settings) *bool { return &of(s).intercept }),
		"buffer_size": {everywhere, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if l.Simple(d, 1, 1) {
				of(s.settings).headSize = int(min(l.Size(d.Args[0], 1), maxHead))
			}
		}},
		"next_upstream": {everywhere, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if l.Simple(d, 1, -1) {
				l.next(&of(s.settings).next, d)
			}
		}},
		"next_upstream_tries":   number(everywhere, 0, func(s *settings) *int { return &of(s).next.tries }),
		"next_upstream_timeout": duration(everywhere, func(s *settings) *time.Duration { return &of(s).next.within }),
		"ssl_verify":            switched(everywhere, func(s *settings) *bool { return &of(s).tls.verify }),
		"ssl_server_name":       switched(everywhere, func(s *settings) *bool { return &of(s).tls.sendName }),
		"ssl_verify_depth":      number(everywhere, 1, func(s *settings) *int { return new(int) }), // Go verifies any chain
		"ssl_protocols": {everywhere, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if l.Simple(d, 1, -1) {
				of(s.settings).tls.min, of(s.settings).tls.max = l.versions(d)
			}
		}},
		"ssl_trusted_certificate": {everywhere, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if l.Simple(d, 1, 1) {
				of(s.settings).tls.trusted = d.Args[0].Value
			}
		}},
		"ssl_name": {everywhere, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if l.Simple(d, 1, 1) {
				of(s.settings).tls.name = l.text(d.Args[0])
			}
		}},
	}
	named := map[string]setting{}
	for name, s := range out {
		named[prefix+"_"+name] = s
	}
	return named
}

func setHeaders(of func(*settings) *passing) setting {
	read := headers(everywhere, false, func(s *settings) *[]header { return &of(s).setHeaders })
	return setting{everywhere, func(l *loader, s *scope, d *nginxconf.Directive, first bool) {
		if len(d.Args) > 0 {
			switch canonical(d.Args[0].Value) {
			case "Content-Length", "Transfer-Encoding":
				l.Unsupported(d.Args[0], "where a request ends is for the proxy to say, and a wrong word smuggles requests", "remove the line")
				return
			}
		}
		read.read(l, s, d, first)
	}}
}

func (l *loader) next(n *nextUpstream, d *nginxconf.Directive) {
	known := []string{"error", "timeout", "invalid_header", "non_idempotent", "off", "http_500", "http_502", "http_503", "http_504", "http_403", "http_404", "http_429"}
	*n = nextUpstream{tries: n.tries, within: n.within}
	for _, w := range d.Args {
		code, isCode := strings.CutPrefix(w.Value, "http_")
		status, err := strconv.Atoi(code)
		switch {
		case w.Value == "error":
			n.onError = true
		case w.Value == "timeout":
			n.onTimeout = true
		case w.Value == "invalid_header":
			n.onInvalid = true
		case w.Value == "non_idempotent":
			n.nonIdempotent = true
		case w.Value == "off":
			*n = nextUpstream{tries: n.tries, within: n.within}
		case isCode && err == nil && strings.Contains(" 500 502 503 504 403 404 429 ", " "+code+" "):
			n.statuses = append(n.statuses, status)
		default:
			l.Unknown(w, d.Name.Value, known)
		}
	}
}

// proxySettings are those of proxy_ alone.
func proxySettings() map[string]setting {
	return map[string]setting{
		"proxy_buffering":            switched(everywhere, func(s *settings) *bool { return &s.proxy.buffering }),
		"proxy_request_buffering":    switched(everywhere, func(s *settings) *bool { return &s.proxy.requestBuffering }),
		"proxy_pass_request_headers": switched(everywhere, func(s *settings) *bool { return &s.proxy.passHeaders }),
		"proxy_pass_request_body":    switched(everywhere, func(s *settings) *bool { return &s.proxy.passBody }),
		"proxy_http_version": {everywhere, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if !l.Simple(d, 1, 1) {
				return
			}
			switch d.Args[0].Value {
			case "1.0", "1.1":
				s.proxy.version11 = d.Args[0].Value == "1.1"
			default:
				l.Arguments(d.Args[0], "%q is neither 1.0 nor 1.1", d.Args[0].Value)
			}
		}},
		"proxy_cache":         {everywhere, readCache},
		"proxy_store":         offOnly("the embedded runtime keeps no answers"),
		"gzip_static":         offOnly("the embedded runtime looks for no packed files"),
		"gunzip":              offOnly("the embedded runtime passes answers as they are"),
		"disable_symlinks":    {everywhere, readSymlinks},
		"autoindex":           offOnly("the embedded runtime lists no directories"),
		"satisfy":             offOnly("the embedded runtime has no access control"),
		"auth_basic":          offOnly("the embedded runtime has no access control"),
		"ssl_verify_client":   offOnly("the embedded runtime asks no client for a certificate"),
		"ssl_stapling":        offOnly("the embedded runtime staples no OCSP answers"),
		"ssl_stapling_verify": offOnly("the embedded runtime staples no OCSP answers"),
		"ssl_early_data":      offOnly("Go's TLS has no early data"),
		"etag":                {everywhere, func(l *loader, _ *scope, d *nginxconf.Directive, _ bool) { l.Flag(d) }},
		"proxy_redirect": {everywhere, func(l *loader, s *scope, d *nginxconf.Directive, first bool) {
			if first {
				s.proxy.redirects, s.proxy.noRedirects = nil, false
			}
			switch {
			case !l.Simple(d, 1, 2):
			case len(d.Args) == 1 && d.Args[0].Value == "off":
				s.proxy.noRedirects = true
			case len(d.Args) == 1 && d.Args[0].Value == "default":
			case len(d.Args) == 1:
				l.Arguments(d.Args[0], "%q is neither off nor default", d.Args[0].Value)
			case strings.HasPrefix(d.Args[0].Value, "~"):
				l.Unsupported(d.Args[0], "the embedded runtime replaces beginnings only", "write the beginning")
			default:
				s.proxy.redirects = append(s.proxy.redirects[:len(s.proxy.redirects):len(s.proxy.redirects)], redirection{l.text(d.Args[0]), l.text(d.Args[1])})
			}
		}},
	}
}

// readCache is `proxy_cache`, which may be on in a block as long as no location in
// it passes requests on by HTTP (cached).
func readCache(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
	if !l.Simple(d, 1, 1) {
		return
	}
	s.proxy.cache = nil
	if d.Args[0].Value != "off" {
		s.proxy.cache = &d.Name
	}
}

// cached refuses a location with a cache. Even where nothing is kept, as without
// a buffer, nginx then makes GET of HEAD and takes conditions off requests.
func (l *loader) cached(n *location) {
	if c := n.settings.proxy.cache; c != nil && !n.pass.grpc {
		l.Unsupported(*c, "the embedded runtime keeps no answers", "write off, or remove the line")
	}
}

// offOnly is a feature that is not there.
func offOnly(why string) setting {
	return setting{everywhere, func(l *loader, _ *scope, d *nginxconf.Directive, _ bool) {
		if l.Simple(d, 1, -1) && d.Args[0].Value != "off" {
			l.Unsupported(d.Name, why, "write off, or remove the line")
		}
	}}
}

// readSymlinks is `disable_symlinks`.
func readSymlinks(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
	if !l.Simple(d, 1, 2) {
		return
	}
	switch d.Args[0].Value {
	case "off":
		s.noLinks = false
	case "on":
		s.noLinks = true
	default:
		l.Unsupported(d.Args[0], "the embedded runtime has on and off", "write on")
	}
	if len(d.Args) == 2 {
		l.Unsupported(d.Args[1], "the embedded runtime looks at the whole path", "remove the parameter")
	}
}
