package nginx

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"kasgen/internal/nginxconf"
	"kasgen/runtime/balancer"
	"kasgen/runtime/nginx/directive"
	"kasgen/runtime/nginx/mapping"
)

// streamMap is a map{} block: its source decides which value the variable has.
type streamMap struct {
	directive *nginxconf.Directive
	source    value
	*mapping.Table[value]
	busy bool // its values are being read: a loop ends here
}

// declare makes the map's variable known before anything refers to it.
func (l *loader) declare(d *nginxconf.Directive) {
	if !l.Block(d, 2, 2) {
		return
	}
	name, ok := strings.CutPrefix(d.Args[1].Value, "$")
	if !ok || name == "" {
		l.Arguments(d.Args[1], "invalid variable name %q", d.Args[1].Value)
		return
	}
	if other := l.maps[name]; other != nil {
		l.Add(directive.Duplicate, d.Args[1].Pos, fmt.Sprintf("$%s is already the variable of a map at line %d", name, other.directive.Name.Pos.Line), "only one of them could count", "rename one of them")
		return
	}
	l.maps[name] = &streamMap{directive: d, Table: &mapping.Table[value]{}}
}

// read fills the map in.
func (l *loader) read(m *streamMap) {
	m.source = l.value(m.directive.Args[0])
	m.Table = mapping.Read(&l.Reader, m.directive, l.value, func(w nginxconf.Word, expr string) *regexp.Regexp {
		re := mapping.Compile(&l.Reader, w, expr)
		if re != nil && slices.ContainsFunc(re.SubexpNames(), func(s string) bool { return s != "" }) {
			l.Add(directive.Unsupported, w.Pos, fmt.Sprintf("the pattern %q is not supported", w.Value),
				"the embedded stream has no variables of named groups", "write a pattern without names")
			return nil
		}
		return re
	})
}

func (m *streamMap) lookup(v *balancer.View) string {
	to, ok := m.Find(m.source(v), func(*regexp.Regexp, []string) {})
	if !ok {
		return ""
	}
	return to(v)
}

// outcomes is every text that w may become, if that can be known.
func (l *loader) outcomes(w nginxconf.Word) ([]nginxconf.Word, bool) {
	parts := l.Parts(w)
	if len(parts) == 0 && w.Value != "" {
		return nil, true // it was refused
	}
	if len(parts) == 0 || len(parts) == 1 && parts[0].Variable == "" {
		return []nginxconf.Word{w}, true
	}
	m := l.maps[parts[0].Variable]
	if len(parts) > 1 || m == nil || m.busy {
		return nil, false
	}
	m.busy = true
	defer func() { m.busy = false }()
	var out []nginxconf.Word
	for _, r := range m.Results {
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
			l.Add(directive.Reference, m.directive.Args[1].Pos, fmt.Sprintf("the map of $%s leads to itself", name), "its value could never be found", "take the variable out of the map's source or values")
			return
		}
		state[name] = 1
		for _, w := range append([]nginxconf.Word{m.directive.Args[0]}, m.Results...) {
			for _, p := range l.Parts(w) {
				if p.Variable != "" {
					visit(p.Variable)
				}
			}
		}
		state[name] = 2
	}
	for _, name := range sortedKeys(l.maps) {
		visit(name)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
