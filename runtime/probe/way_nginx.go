package probe

import (
	"net"
	"net/url"
	"slices"
	"strings"

	"kasgen/internal/nginxconf"
)

// webHop is a vhost of nginx.conf and its location for the path. takes is nil
// where the client's address says nothing: then a listener with TLS is meant,
// if there is one.
func (b *Bundle) webHop(takes func(bind string) bool, a asked) *hop {
	if b.web == nil {
		return nil
	}
	v := (*vhost)(nil)
	if takes != nil {
		v = findVhost(b.web, takes, a.host)
	} else if v = findVhost(b.web, securely(b.web), a.host); v == nil {
		v = findVhost(b.web, func(string) bool { return true }, a.host)
	}
	if v == nil {
		return nil
	}
	h := &hop{from: listening{at: v.listen.Name.Pos, port: portOf(bindOf(v.listen)), secure: v.listening("ssl") != nil}, suspects: v.suspects}
	if d := v.listening("proxy_protocol"); d != nil {
		h.from.at, h.from.proxy = d.Name.Pos, anyHeader
	}
	l := v.location(a.path)
	if d := l.pass(); d != nil && len(d.Args) > 0 {
		h.to = passedTo(v.http, d, d.Args[0].Value)
	}
	return h
}

// securely takes what a listener with TLS takes.
func securely(f *nginxconf.File) func(bind string) bool {
	var binds []string
	for _, d := range within(f.Directives, "http", "server", "listen") {
		if slices.Contains(d.Values(), "ssl") && len(d.Args) > 0 {
			binds = append(binds, bindOf(d))
		}
	}
	return func(bind string) bool { return slices.Contains(binds, bind) }
}

// within are the directives at the end of a chain of blocks.
func within(ds []*nginxconf.Directive, names ...string) []*nginxconf.Directive {
	var list []*nginxconf.Directive
	for _, d := range ds {
		switch {
		case d.Name.Value != names[0]:
		case len(names) == 1:
			list = append(list, d)
		case d.Block != nil:
			list = append(list, within(d.Block.Directives, names[1:]...)...)
		}
	}
	return list
}

// passedTo is where a proxy_pass or grpc_pass leads: to the first server of an
// upstream, or to an address.
func passedTo(around, pass *nginxconf.Directive, to string) *sending {
	s := &sending{at: pass.Name.Pos, how: pass.Name.Pos, h2: pass.Name.Value == "grpc_pass", address: to}
	if u, err := url.Parse(to); err == nil && u.Host != "" {
		s.secure = u.Scheme == "https" || u.Scheme == "grpcs"
		s.address = u.Host
	}
	for _, d := range within(around.Block.Directives, "upstream") {
		if d.Block == nil || len(d.Args) == 0 || d.Args[0].Value != s.address {
			continue
		}
		if servers := within(d.Block.Directives, "server"); len(servers) > 0 && len(servers[0].Args) > 0 {
			s.at, s.address = servers[0].Name.Pos, servers[0].Args[0].Value
		}
		return s
	}
	if _, _, err := net.SplitHostPort(s.address); err != nil {
		s.address = net.JoinHostPort(s.address, map[bool]string{false: "80", true: "443"}[s.secure])
	}
	return s
}

// streamHop is a server of stream.conf.
func (b *Bundle) streamHop(takes func(bind string) bool, a asked) *hop {
	if b.stream == nil {
		return nil
	}
	for _, stream := range within(b.stream.Directives, "stream") {
		if stream.Block == nil {
			continue
		}
		for _, server := range within(stream.Block.Directives, "server") {
			if server.Block == nil {
				continue
			}
			for _, listen := range within(server.Block.Directives, "listen") {
				if len(listen.Args) > 0 && takes(bindOf(listen)) {
					return streamServer(stream, server, listen, a)
				}
			}
		}
	}
	return nil
}

func streamServer(stream, server, listen *nginxconf.Directive, a asked) *hop {
	l := located{scopes: []*nginxconf.Directive{server, stream}}
	words := listen.Values()
	h := &hop{from: listening{at: listen.Name.Pos, port: portOf(bindOf(listen)), secure: slices.Contains(words, "ssl")}}
	if slices.Contains(words, "proxy_protocol") {
		h.from.proxy = anyHeader
	}
	pass := l.own("proxy_pass")
	if pass != nil && len(pass.Args) > 0 {
		to, at := mapped(stream, pass.Args[0].Value, a.host)
		h.to = passedTo(stream, pass, to)
		if d := l.set("proxy_ssl"); d != nil && slices.Contains(d.Values(), "on") {
			h.to.secure = true
		}
		if d := l.set("proxy_protocol"); d != nil && slices.Contains(d.Values(), "on") {
			h.to.proxy, h.to.how = "v1", d.Name.Pos
		}
		h.suspects = func(c *Check, e *endpoint) []suspect {
			if c.Code == codeCertName && at != nil {
				return append(l.inStream(c, listen), suspect{at.Name.Pos, "it sends " + e.host + " there"})
			}
			return l.inStream(c, listen)
		}
		return h
	}
	h.suspects = func(c *Check, _ *endpoint) []suspect { return l.inStream(c, listen) }
	return h
}

// mapped is the value of a variable that a map of the name sets, and the entry
// of the map; anything else as it is.
func mapped(around *nginxconf.Directive, value, host string) (string, *nginxconf.Directive) {
	if !strings.HasPrefix(value, "$") {
		return value, nil
	}
	for _, m := range within(around.Block.Directives, "map") {
		if m.Block == nil || len(m.Args) != 2 || m.Args[1].Value != value {
			continue
		}
		var fallback *nginxconf.Directive
		for _, entry := range m.Block.Directives {
			switch {
			case len(entry.Args) != 1:
			case strings.EqualFold(entry.Name.Value, host):
				return entry.Args[0].Value, entry
			case entry.Name.Value == "default":
				fallback = entry
			}
		}
		if fallback != nil {
			return fallback.Args[0].Value, fallback
		}
	}
	return value, nil
}
