package nginx

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"kasgen/internal/diag"
	"kasgen/internal/nginxconf"
	"kasgen/runtime/balancer"
)

// mapping is a map{} block: its source decides which value the variable has.
type mapping struct {
	directive *nginxconf.Directive
	source    value
	hostnames bool
	exact     map[string]value
	suffix    map[string]value // *.example.com, by ".example.com"
	prefix    map[string]value // www.example.*, by "www.example."
	patterns  []pattern
	fallback  value
	results   []nginxconf.Word // every value, for those who must know them all
	busy      bool             // its values are being read: a loop ends here
}

type pattern struct {
	re *regexp.Regexp
	to value
}

// declare makes the map's variable known before anything refers to it.
func (l *loader) declare(d *nginxconf.Directive) {
	if !l.block(d, 2) {
		return
	}
	name, ok := strings.CutPrefix(d.Args[1].Value, "$")
	if !ok || name == "" {
		l.arguments(d.Args[1], "invalid variable name %q", d.Args[1].Value)
		return
	}
	if other := l.maps[name]; other != nil {
		l.add(codeDuplicate, d.Args[1].Pos, fmt.Sprintf("$%s is already the variable of a map at line %d", name, other.directive.Name.Pos.Line), "only one of them could count", "rename one of them")
		return
	}
	l.maps[name] = &mapping{directive: d, exact: map[string]value{}, suffix: map[string]value{}, prefix: map[string]value{}}
}

// read fills the map in.
func (l *loader) read(m *mapping) {
	m.source = l.value(m.directive.Args[0])
	for _, d := range m.directive.Block.Directives {
		switch {
		case d.Name.Value == "hostnames" && len(d.Args) == 0:
			m.hostnames = true
		case d.Name.Value == "volatile" && len(d.Args) == 0:
			// Nothing is cached here either way.
		case d.Name.Value == "include":
			l.unsupported(d.Name, "a file must mean the same wherever it is read", "write the included lines in this file")
		case l.simple(d, 1, 1):
			l.entry(m, d)
		}
	}
}

func (l *loader) entry(m *mapping, d *nginxconf.Directive) {
	key, to := d.Name.Value, l.value(d.Args[0])
	m.results = append(m.results, d.Args[0])
	put := func(in map[string]value, key string) {
		if _, twice := in[key]; twice {
			l.add(codeDuplicate, d.Name.Pos, fmt.Sprintf("conflicting parameter %q", d.Name.Value), "only one of the two values could count", "remove one of them")
		}
		in[key] = to
	}
	switch {
	case key == "default":
		if m.fallback != nil {
			l.add(codeDuplicate, d.Name.Pos, "duplicate default map parameter", "only one of the two values could count", "remove one of them")
		}
		m.fallback = to
	case strings.HasPrefix(key, "~"):
		l.pattern(m, d, to)
	case m.hostnames && strings.HasPrefix(key, "*."):
		put(m.suffix, strings.ToLower(key[1:]))
	case m.hostnames && strings.HasPrefix(key, "."):
		put(m.suffix, strings.ToLower(key))
		put(m.exact, strings.ToLower(key[1:]))
	case m.hostnames && strings.HasSuffix(key, ".*"):
		put(m.prefix, strings.ToLower(key[:len(key)-1]))
	default:
		// A backslash lets a key begin with what would be special.
		put(m.exact, strings.ToLower(strings.TrimPrefix(key, `\`)))
	}
}

func (l *loader) pattern(m *mapping, d *nginxconf.Directive, to value) {
	expr, flags := d.Name.Value[1:], ""
	if strings.HasPrefix(expr, "*") {
		expr, flags = expr[1:], "(?i)"
	}
	re, err := regexp.Compile(flags + expr)
	if err != nil || re.NumSubexp() > 0 && slices.ContainsFunc(re.SubexpNames(), func(s string) bool { return s != "" }) {
		l.add(codeUnsupported, d.Name.Pos, fmt.Sprintf("the pattern %q is not supported", d.Name.Value),
			"the embedded runtime has Go's regular expressions: no look-around, no back references, no named groups", "write names, or a simpler pattern")
		return
	}
	m.patterns = append(m.patterns, pattern{re: re, to: to})
}

func (m *mapping) lookup(v *balancer.View) string {
	source := m.source(v)
	key := strings.ToLower(source)
	if m.hostnames {
		key = strings.TrimSuffix(key, ".")
	}
	if to, ok := m.exact[key]; ok {
		return to(v)
	}
	for i := strings.IndexByte(key, '.'); i >= 0; {
		if to, ok := m.suffix[key[i:]]; ok && i > 0 {
			return to(v)
		}
		next := strings.IndexByte(key[i+1:], '.')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	for i := strings.LastIndexByte(key, '.'); i >= 0; i = strings.LastIndexByte(key[:i], '.') {
		if to, ok := m.prefix[key[:i+1]]; ok && i+1 < len(key) {
			return to(v)
		}
	}
	for _, p := range m.patterns {
		if p.re.MatchString(source) {
			return p.to(v)
		}
	}
	if m.fallback != nil {
		return m.fallback(v)
	}
	return ""
}

// outcomes is every text that w may become, if that can be known.
func (l *loader) outcomes(w nginxconf.Word) ([]nginxconf.Word, bool) {
	parts := l.parts(w)
	if len(parts) == 0 && w.Value != "" {
		return nil, true // it was refused
	}
	if len(parts) == 0 || len(parts) == 1 && parts[0].variable == "" {
		return []nginxconf.Word{w}, true
	}
	m := l.maps[parts[0].variable]
	if len(parts) > 1 || m == nil || m.busy {
		return nil, false
	}
	m.busy = true
	defer func() { m.busy = false }()
	var out []nginxconf.Word
	for _, r := range m.results {
		more, ok := l.outcomes(r)
		if !ok {
			return nil, false
		}
		out = append(out, more...)
	}
	return out, true
}

// loops refuses maps that lead to themselves.
func (l *loader) loops() {
	state := map[string]int{} // 1 while it is visited, 2 afterwards
	var visit func(name string)
	visit = func(name string) {
		m := l.maps[name]
		if m == nil || state[name] == 2 {
			return
		}
		if state[name] == 1 {
			l.add(codeReference, m.directive.Args[1].Pos, fmt.Sprintf("the map of $%s leads to itself", name), "its value could never be found", "take the variable out of the map's source or values")
			return
		}
		state[name] = 1
		for _, w := range append([]nginxconf.Word{m.directive.Args[0]}, m.results...) {
			for _, p := range l.parts(w) {
				if p.variable != "" {
					visit(p.variable)
				}
			}
		}
		state[name] = 2
	}
	for _, name := range sortedKeys(l.maps) {
		visit(name)
	}
}

func nearest(name string, known []string) string { return diag.Nearest(name, known) }

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
