package vhost

import (
	"fmt"

	"kasgen/internal/nginxconf"
	"kasgen/runtime/nginx/directive"
	"kasgen/runtime/nginx/mapping"
)

// httpMap is a map{} block.
type httpMap struct {
	directive *nginxconf.Directive
	variable  *variable
	source    *text
	table     *mapping.Table[*text]
	values    []*text
}

// declare makes the map's variable known before anything refers to it.
func (l *loader) declare(d *nginxconf.Directive) {
	if !l.Block(d, 2, 2) {
		return
	}
	v := l.define(d.Args[1])
	if v == nil {
		return
	}
	for _, other := range l.maps {
		if other.variable == v {
			l.Add(directive.Duplicate, d.Args[1].Pos, fmt.Sprintf("$%s is already the variable of a map at line %d", v.name, other.directive.Name.Pos.Line), "only one of them could count", "rename one of them")
			return
		}
	}
	m := &httpMap{directive: d, variable: v}
	v.get, v.kept = m.find, true
	l.maps = append(l.maps, m)
}

// read fills the map in.
func (l *loader) read(m *httpMap) {
	m.source = l.text(m.directive.Args[0])
	m.table = mapping.Read(l.Reader, m.directive, func(w nginxconf.Word) *text {
		t := l.text(w)
		m.values = append(m.values, t)
		return t
	}, l.pattern)
	m.variable.kept = !m.table.Volatile
}

func (m *httpMap) find(q *request) string {
	to, ok := m.table.Find(m.source.of(q), q.matched)
	if !ok {
		return ""
	}
	return to.of(q)
}

// loops refuses maps that lead to themselves.
func (l *loader) loops() {
	of := map[*variable]*httpMap{}
	for _, m := range l.maps {
		of[m.variable] = m
	}
	state := map[*httpMap]int{} // 1 while it is visited, 2 afterwards
	var visit func(m *httpMap)
	visit = func(m *httpMap) {
		if m == nil || state[m] == 2 {
			return
		}
		if state[m] == 1 {
			l.Add(directive.Reference, m.directive.Args[1].Pos, fmt.Sprintf("the map of $%s leads to itself", m.variable.name), "its value could never be found", "take the variable out of the map's source or values")
			return
		}
		state[m] = 1
		for _, t := range append([]*text{m.source}, m.values...) {
			for _, p := range t.parts {
				visit(of[p.variable])
			}
		}
		state[m] = 2
	}
	for _, m := range l.maps {
		visit(m)
	}
}
