package vhost

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"

	"kasgen/internal/nginxconf"
	"kasgen/runtime/nginx/directive"
	"kasgen/runtime/nginx/upstream"
)

// locations reads the locations in a block.
func (l *loader) locations(outer *location, ds []*nginxconf.Directive) {
	lv := &outer.inner
	lv.exact = map[string]*location{}
	taken := map[string]bool{}
	for _, d := range ds {
		if !l.Block(d, 1, 2) {
			continue
		}
		n := &location{pos: d.Name.Pos}
		at := l.head(n, d)
		key := fmt.Sprintf("%v %s", n.exact, n.name)
		switch {
		case n.pattern == nil && !n.named && outer.name != "" && !strings.HasPrefix(n.name, outer.name):
			l.Arguments(at, "location %q is outside location %q", n.name, outer.name)
		case outer.exact || outer.named:
			l.Arguments(at, "location %q cannot be inside location %q", n.name, outer.name)
		case n.named && outer != l.current.root:
			l.Arguments(at, "named location %q can be on the server level only", n.name)
		case n.named && taken[key]:
			l.Warn(directive.Duplicate, at.Pos, fmt.Sprintf("duplicate location %q, ignored", n.name), "nginx goes to the first one", "remove one of them")
		case n.pattern == nil && taken[key]:
			l.Add(directive.Duplicate, at.Pos, fmt.Sprintf("duplicate location %q", n.name), "only one of them could be chosen", "remove one of them")
		}
		if n.pattern == nil {
			taken[key] = true
		}
		l.location(n, outer, d)
		switch {
		case n.named:
			if l.current.named[n.name[1:]] == nil {
				l.current.named[n.name[1:]] = n
			}
		case n.pattern != nil:
			lv.patterns = append(lv.patterns, n)
		case n.exact:
			lv.exact[n.name] = n
		default:
			lv.prefixes = append(lv.prefixes, n)
		}
	}
	slices.SortStableFunc(lv.prefixes, longest)
}

// head reads a location's modifier and name, and returns where it stands.
func (l *loader) head(n *location, d *nginxconf.Directive) nginxconf.Word {
	at := d.Args[len(d.Args)-1]
	modifier, name := "", at.Value
	if len(d.Args) == 2 {
		modifier = d.Args[0].Value
	} else {
		// `=/x` is `= /x`.
		for _, m := range []string{"=", "^~", "~*", "~"} {
			if rest, ok := strings.CutPrefix(name, m); ok {
				modifier, name = m, rest
				break
			}
		}
	}
	n.name = name
	switch modifier {
	case "":
		n.named = strings.HasPrefix(name, "@")
	case "=":
		n.exact = true
	case "^~":
		n.noRegex = true
	case "~":
		n.pattern = l.pattern(at, name)
	case "~*":
		n.pattern = l.pattern(at, "(?i)"+name)
	default:
		l.Arguments(d.Args[0], "invalid location modifier %q", modifier)
	}
	if n.pattern == nil && strings.HasPrefix(modifier, "~") {
		n.pattern = regexp.MustCompile("$^") // refused
	}
	return at
}

// location reads a location's block.
func (l *loader) location(n *location, outer *location, d *nginxconf.Directive) {
	own := &scope{settings: outer.settings.clone(), where: inLocation, seen: map[string]bool{}}
	n.settings = own.settings
	var inner, steps []*nginxconf.Directive
	var to *nginxconf.Directive
	for _, c := range d.Block.Directives {
		switch c.Name.Value {
		case "location":
			inner = append(inner, c)
		case "set", "if", "return", "rewrite", "break":
			steps = append(steps, c)
		case "internal":
			n.internal = l.Simple(c, 0, 0)
		case "proxy_pass", "grpc_pass":
			if to != nil {
				l.Twice(c.Name)
			}
			if l.Simple(c, 1, 1) {
				to = c
			}
		default:
			if c.Name.Value == "proxy_redirect" && len(c.Args) == 1 && c.Args[0].Value == "default" && to == nil {
				l.Arguments(c.Name, `"proxy_redirect default" should be placed after the "proxy_pass" directive`)
			}
			if !l.setting(own, c) {
				l.Unknown(c.Name, "location", l.names("location", "set", "if", "return", "rewrite", "break", "internal", "proxy_pass", "grpc_pass"))
			}
		}
	}
	if own.seen["root"] && own.seen["alias"] {
		l.Add(directive.Duplicate, d.Name.Pos, `"root" and "alias" in one location`, "nginx takes one of them", "remove one of them")
	}
	n.program = l.program(steps, inLocation)
	if to != nil {
		n.pass = l.pass(n, to)
		n.redirected = n.pattern == nil && !n.named && strings.HasSuffix(n.name, "/")
		l.trusted(&own.proxy, d.Name)
		l.trusted(&own.grpc, d.Name)
		l.cached(n)
	}
	l.locations(n, inner)
}

// pass reads proxy_pass or grpc_pass.
func (l *loader) pass(n *location, d *nginxconf.Directive) *pass {
	p := &pass{grpc: d.Name.Value == "grpc_pass"}
	at := d.Args[0]
	if n.pattern == nil && !n.named {
		p.location = n.name
	}
	if strings.Contains(at.Value, "$") {
		p.whole = l.text(at)
		return p
	}
	to, ok := parsePlace(at.Value, p.grpc)
	switch {
	case !ok:
		l.Arguments(at, "invalid URL prefix in %q", at.Value)
		return p
	case to.hasURI && p.grpc:
		l.Arguments(at, "grpc_pass has no path: %q", at.Value)
	case to.hasURI && (n.pattern != nil || n.named):
		l.Arguments(at, `"proxy_pass" cannot have URI part in location given by regular expression, or inside named location`)
	case strings.HasPrefix(to.host, "unix:"):
		l.Unsupported(at, "the embedded runtime has no unix sockets", "listen on a loopback port")
		return p
	}
	p.place = to
	if u := l.upstreams[to.host]; u != nil {
		p.place.pool = u.Pool
		return p
	}
	host := strings.TrimSuffix(to.host, ":"+to.port)
	whole := net.JoinHostPort(strings.Trim(host, "[]"), to.port)
	if err := upstream.CheckAddress(whole); err != nil {
		l.Arguments(at, "%q is not an address: %v", to.host, err)
	}
	p.place.pool = single(whole)
	return p
}
