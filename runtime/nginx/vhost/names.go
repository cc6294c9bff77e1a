package vhost

import (
	"regexp"
	"strings"

	"kasgen/runtime/nginx/mapping"
)

// serverName is one word of server_name.
type serverName struct {
	text    string
	pattern *regexp.Regexp
}

// single are the names of s that stand for themselves: no pattern, and not the
// words for nobody's name.
func (s *server) single() []string {
	var all []string
	for _, n := range s.names {
		if n.pattern == nil && strings.Contains(n.text, ".") && !strings.ContainsAny(n.text, "*_") && !strings.HasPrefix(n.text, ".") && !strings.HasSuffix(n.text, ".") {
			all = append(all, n.text)
		}
	}
	return all
}

// names finds a server by the name that a client asks for.
type names struct {
	exact, suffix, prefix map[string]*server
	patterns              []namePattern
}

type namePattern struct {
	re *regexp.Regexp
	to *server
}

// put adds the names of s; twice hears of those that somebody has.
func (n *names) put(s *server, twice func(name string)) {
	if n.exact == nil {
		n.exact, n.suffix, n.prefix = map[string]*server{}, map[string]*server{}, map[string]*server{}
	}
	words := s.names
	if len(words) == 0 {
		words = []serverName{{}} // nginx's default is the empty name
	}
	for _, w := range words {
		if w.pattern != nil {
			n.patterns = append(n.patterns, namePattern{re: w.pattern, to: s})
			continue
		}
		in, key := n.exact, w.text
		switch {
		case strings.HasPrefix(key, "*."):
			in, key = n.suffix, key[1:]
		case strings.HasPrefix(key, "."):
			if n.exact[key[1:]] == nil {
				n.exact[key[1:]] = s
			}
			in = n.suffix
		case strings.HasSuffix(key, ".*"):
			in, key = n.prefix, key[:len(key)-1]
		}
		if in[key] != nil {
			twice(w.text)
			continue
		}
		in[key] = s
	}
}

// find is the server with a name, nil if none has it. The empty name is that of
// a request without one.
func (n *names) find(host string, matched func(*regexp.Regexp, []string)) *server {
	if s := n.exact[host]; s != nil {
		return s
	}
	if s, ok := mapping.Wildcard(host, n.suffix, n.prefix); ok {
		return s
	}
	for _, p := range n.patterns {
		if groups := p.re.FindStringSubmatch(host); groups != nil {
			matched(p.re, groups)
			return p.to
		}
	}
	return nil
}
