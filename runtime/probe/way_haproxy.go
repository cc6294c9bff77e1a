package probe

import (
	"slices"
	"strings"

	"kasgen/internal/haproxyconf"
)

// proxied is what HAProxy does with a client: a frontend, its backend, and the
// defaults that hold for both.
type proxied struct {
	frontend, backend, defaults *haproxyconf.Section // backend and defaults may be nil
	bind, chosen, server        *haproxyconf.Line    // chosen is what sends the client to backend
	http                        bool
}

// haproxyHop is a frontend of haproxy.cfg, and the server that a client gets to.
func (b *Bundle) haproxyHop(takes func(bind string) bool, a asked) *hop {
	if b.haproxy == nil {
		return nil
	}
	p := b.proxied(takes, a)
	if p == nil {
		return nil
	}
	words := p.bind.Values()
	h := &hop{from: listening{at: p.bind.Words[0].Pos, port: portOf(words[1]), secure: slices.Contains(words, "ssl")},
		suspects: func(c *Check, e *endpoint) []suspect { return p.suspects(c, e) }}
	if slices.Contains(words, "accept-proxy") {
		h.from.proxy = anyHeader
	}
	if p.server != nil && len(p.server.Words) > 2 {
		v := p.server.Values()
		at := p.server.Words[0].Pos
		h.to = &sending{at: at, how: at, address: v[2], secure: p.secured() != nil, h2: after(v, "proto") == "h2"}
		switch {
		case slices.Contains(v, "send-proxy-v2"):
			h.to.proxy = "v2"
		case slices.Contains(v, "send-proxy"):
			h.to.proxy = "v1"
		}
	}
	return h
}

// proxied follows a client from the first bind that takes it.
func (b *Bundle) proxied(takes func(bind string) bool, a asked) *proxied {
	var defaults *haproxyconf.Section
	for _, s := range b.haproxy.Sections {
		switch s.Keyword() {
		case "defaults":
			defaults = s
		case "frontend", "listen":
			for _, l := range s.Lines {
				if v := l.Values(); v[0] == "bind" && len(v) > 1 && slices.ContainsFunc(strings.Split(v[1], ","), takes) {
					p := &proxied{frontend: s, defaults: defaults, bind: l}
					p.follow(b.haproxy, a)
					return p
				}
			}
		}
	}
	return nil
}

// follow finds the backend and its first server.
func (p *proxied) follow(f *haproxyconf.File, a asked) {
	name := ""
	if p.frontend.Keyword() == "listen" {
		p.backend = p.frontend
	}
	for _, l := range p.frontend.Lines {
		v := l.Values()
		switch {
		case v[0] == "use_backend" && len(v) > 2 && p.chosen == nil && a.meets(v[2:]):
			name, p.chosen = v[1], l
		case v[0] == "default_backend" && len(v) > 1 && name == "":
			name = v[1]
		}
	}
	for _, s := range f.Sections {
		if (s.Keyword() == "backend" || s.Keyword() == "listen") && s.Name() == name && name != "" {
			p.backend = s
		}
	}
	p.http = p.mode() == "http"
	if p.backend == nil {
		return
	}
	for _, l := range p.backend.Lines {
		if l.Words[0].Value == "server" {
			p.server = l
			return
		}
	}
}

// secured is the line by which HAProxy speaks TLS to the server; nil if it does
// not.
func (p *proxied) secured() *haproxyconf.Line {
	v := p.server.Values()
	switch {
	case slices.Contains(v, "ssl"):
		return p.server
	case slices.Contains(v, "no-ssl"):
		return nil
	}
	for _, s := range []*haproxyconf.Section{p.backend, p.defaults} {
		if s == nil {
			continue
		}
		for _, l := range s.Lines {
			if v := l.Values(); v[0] == "default-server" && slices.Contains(v, "ssl") {
				return l
			}
		}
	}
	return nil
}

func (p *proxied) mode() string {
	for _, s := range []*haproxyconf.Section{p.frontend, p.defaults} {
		if s == nil {
			continue
		}
		for _, l := range s.Lines {
			if v := l.Values(); v[0] == "mode" && len(v) > 1 {
				return v[1]
			}
		}
	}
	return "tcp"
}

// meets says whether a client meets a condition: the name that it asks for, or
// its path. What else may be asked is taken for not met.
func (a asked) meets(w []string) bool {
	if len(w) < 4 || w[1] != "{" || w[len(w)-1] != "}" {
		return false
	}
	values := slices.DeleteFunc(slices.Clone(w[3:len(w)-1]), func(s string) bool { return strings.HasPrefix(s, "-") })
	met := false
	switch w[2] {
	case "req.ssl_sni", "req_ssl_sni", "ssl_fc_sni", "hdr(host)", "req.hdr(host)":
		met = slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, a.host) })
	case "path_beg":
		met = slices.ContainsFunc(values, func(v string) bool { return strings.HasPrefix(a.path, v) })
	case "path":
		met = slices.Contains(values, a.path)
	case "req.ssl_alpn", "ssl_fc_alpn":
		met = a.grpc && slices.Contains(values, "h2")
	default:
		return false
	}
	return met == (w[0] == "if")
}

// lines are those of the sections that a client meets.
func (p *proxied) lines() []*haproxyconf.Line {
	var list []*haproxyconf.Line
	for _, s := range []*haproxyconf.Section{p.frontend, p.backend, p.defaults} {
		if s != nil {
			list = append(list, s.Lines...)
		}
	}
	return list
}

// after is the word behind key.
func after(w []string, key string) string {
	if i := slices.Index(w, key); i >= 0 && i+1 < len(w) {
		return w[i+1]
	}
	return ""
}
