package probe

import (
	"regexp"
	"slices"
	"strings"

	"kasgen/internal/nginxconf"
)

// vhost is the server of an http block that takes a name.
type vhost struct {
	http, server *nginxconf.Directive
	listen       *nginxconf.Directive // that takes the client
	named        bool                 // by name, not as the default
}

// findVhost is the server that takes a name on the listeners that a client
// comes to, as nginx chooses it; nil if there is none.
func findVhost(f *nginxconf.File, takes func(bind string) bool, host string) *vhost {
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
			if v.listen = v.listens(takes); v.listen == nil {
				continue
			}
			if slices.Contains(v.listen.Values(), "default_server") {
				standard = v
			}
			if first == nil {
				first = v
			}
			for _, d := range server.Block.Directives {
				if d.Name.Value == "server_name" && slices.ContainsFunc(d.Values(), func(n string) bool { return nameMatches(n, host) }) {
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

// listens is the listen directive that takes a client; nil if none does.
func (v *vhost) listens(takes func(bind string) bool) *nginxconf.Directive {
	for _, d := range v.server.Block.Directives {
		if d.Name.Value == "listen" && len(d.Args) > 0 && takes(bindOf(d)) {
			return d
		}
	}
	return nil
}

// bindOf is the address of a listen directive, which may be a port alone.
func bindOf(d *nginxconf.Directive) string {
	if address := d.Args[0].Value; strings.Contains(address, ":") {
		return address
	}
	return ":" + d.Args[0].Value
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
