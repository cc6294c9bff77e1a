package vhost

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"kasgen/internal/nginxconf"
	"kasgen/runtime/nginx/directive"
)

// variable is a name that texts refer to.
type variable struct {
	name string
	// get finds the value; nil where only `set` and captures give one.
	get func(*request) string
	// put is what `set` does to a variable of nginx's own that allows it.
	put func(*request, string)
	// kept is set for maps: the first value holds for the request.
	kept bool
	// defined is set by whoever gives a value.
	defined bool
	uses    []nginxconf.Word
}

// of is the value for q.
func (v *variable) of(q *request) string {
	if s, ok := q.vars[v]; ok {
		return s
	}
	if v.get == nil {
		return ""
	}
	s := v.get(q)
	if v.kept {
		q.keep(v, s)
	}
	return s
}

// refer is a variable by its name, which may be defined further down.
func (l *loader) refer(name string, at nginxconf.Word) *variable {
	v := l.variable(name)
	v.uses = append(v.uses, at)
	if !l.logging && slices.Contains(logged(), v.name) {
		l.Unsupported(nginxconf.Word{Value: "$" + name, Pos: at.Pos}, "the embedded runtime has this variable in log_format only", "send something else")
	}
	return v
}

// variable is the one of that name, nginx's own included.
func (l *loader) variable(name string) *variable {
	name = strings.ToLower(name) // nginx's are case-insensitive
	v := l.variables[name]
	if v == nil {
		v = &variable{name: name}
		if get := builtin(name); get != nil {
			v.get, v.defined = get, true
		}
		if name == "args" || name == "query_string" {
			v.put = func(q *request, s string) { q.args = s }
		}
		l.variables[name] = v
	}
	return v
}

// define makes a variable that the file gives a value to.
func (l *loader) define(w nginxconf.Word) *variable {
	name, ok := strings.CutPrefix(w.Value, "$")
	if !ok || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || name == "" {
		l.Arguments(w, "invalid variable name %q", w.Value)
		return nil
	}
	v := l.variable(name)
	if v.get != nil && !v.kept && v.put == nil {
		l.Add(directive.Duplicate, w.Pos, fmt.Sprintf("the variable $%s is nginx's own", name), "nginx does not let a file change it", "choose another name")
		return nil
	}
	v.defined = true
	return v
}

// undefined refuses variables that nobody defines.
func (l *loader) undefined() {
	known := builtinNames()
	for _, name := range slices.Sorted(maps.Keys(l.variables)) {
		if l.variables[name].defined {
			known = append(known, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.variables)) {
		v := l.variables[name]
		if v.defined {
			continue
		}
		for _, w := range v.uses {
			l.Reference(w, fmt.Sprintf("unknown variable $%s", name), name, known)
		}
	}
}
