// Package mapping reads nginx's map{} blocks, which stream{} and http{} have in
// common, and looks values up. What a value is, and how the source of a map
// becomes a text, is its caller's to know.
package mapping

import (
	"fmt"
	"regexp"
	"strings"

	"kasgen/internal/nginxconf"
	"kasgen/runtime/nginx/directive"
)

// Table is the entries of a map{} block. V is what an entry leads to.
type Table[V any] struct {
	exact    map[string]V
	suffix   map[string]V // *.example.com, by ".example.com"
	prefix   map[string]V // www.example.*, by "www.example."
	patterns []pattern[V]
	fallback *V

	Hostnames bool
	Volatile  bool
	// Results is every value as it is written.
	Results []nginxconf.Word
}

type pattern[V any] struct {
	re *regexp.Regexp
	to V
}

// Read reads the entries of d. value makes something of an entry's right side;
// pattern compiles what stands behind a tilde, and returns nil where it has
// refused it.
func Read[V any](r *directive.Reader, d *nginxconf.Directive, value func(nginxconf.Word) V, compile func(nginxconf.Word, string) *regexp.Regexp) *Table[V] {
	t := &Table[V]{exact: map[string]V{}, suffix: map[string]V{}, prefix: map[string]V{}}
	for _, e := range d.Block.Directives {
		switch {
		case e.Name.Value == "hostnames" && len(e.Args) == 0:
			t.Hostnames = true
		case e.Name.Value == "volatile" && len(e.Args) == 0:
			t.Volatile = true
		case r.Simple(e, 1, 1):
			t.entry(r, e, value(e.Args[0]), compile)
		}
	}
	return t
}

func (t *Table[V]) entry(r *directive.Reader, d *nginxconf.Directive, to V, compile func(nginxconf.Word, string) *regexp.Regexp) {
	key := d.Name.Value
	t.Results = append(t.Results, d.Args[0])
	put := func(in map[string]V, key string) {
		if _, twice := in[key]; twice {
			r.Add(directive.Duplicate, d.Name.Pos, fmt.Sprintf("conflicting parameter %q", d.Name.Value), "only one of the two values could count", "remove one of them")
		}
		in[key] = to
	}
	switch {
	case key == "default":
		if t.fallback != nil {
			r.Add(directive.Duplicate, d.Name.Pos, "duplicate default map parameter", "only one of the two values could count", "remove one of them")
		}
		t.fallback = &to
	case strings.HasPrefix(key, "~"):
		expr := key[1:]
		if insensitive, ok := strings.CutPrefix(expr, "*"); ok {
			expr = "(?i)" + insensitive
		}
		if re := compile(d.Name, expr); re != nil {
			t.patterns = append(t.patterns, pattern[V]{re: re, to: to})
		}
	case t.Hostnames && strings.HasPrefix(key, "*."):
		put(t.suffix, strings.ToLower(key[1:]))
	case t.Hostnames && strings.HasPrefix(key, "."):
		put(t.suffix, strings.ToLower(key))
		put(t.exact, strings.ToLower(key[1:]))
	case t.Hostnames && strings.HasSuffix(key, ".*"):
		put(t.prefix, strings.ToLower(key[:len(key)-1]))
	default:
		// A backslash lets a key begin with what would be special.
		put(t.exact, strings.ToLower(strings.TrimPrefix(key, `\`)))
	}
}

// Find is the entry for a source: exact ones before names with an asterisk,
// longer ones of those first, then patterns in the file's order, then the
// default. matched hears of the pattern that decided.
func (t *Table[V]) Find(source string, matched func(re *regexp.Regexp, groups []string)) (to V, ok bool) {
	key := strings.ToLower(source)
	if t.Hostnames {
		key = strings.TrimSuffix(key, ".")
	}
	if to, ok := t.exact[key]; ok {
		return to, true
	}
	if to, ok := Wildcard(key, t.suffix, t.prefix); ok {
		return to, true
	}
	for _, p := range t.patterns {
		if groups := p.re.FindStringSubmatch(source); groups != nil {
			matched(p.re, groups)
			return p.to, true
		}
	}
	if t.fallback != nil {
		return *t.fallback, true
	}
	return to, false
}

// Wildcard finds name among names that begin with an asterisk, by what follows
// it, and then among those that end with one.
func Wildcard[V any](name string, suffix, prefix map[string]V) (to V, ok bool) {
	for i := 0; i < len(name); i++ {
		if name[i] != '.' || i == 0 {
			continue
		}
		if to, ok := suffix[name[i:]]; ok {
			return to, true
		}
	}
	for i := strings.LastIndexByte(name, '.'); i >= 0; i = strings.LastIndexByte(name[:i], '.') {
		if to, ok := prefix[name[:i+1]]; ok && i+1 < len(name) {
			return to, true
		}
	}
	return to, false
}

// Compile makes a pattern of nginx's into one of Go's, or refuses it.
func Compile(r *directive.Reader, w nginxconf.Word, expr string) *regexp.Regexp {
	re, err := regexp.Compile(expr)
	if err != nil {
		r.Add(directive.Unsupported, w.Pos, fmt.Sprintf("the pattern %q is not supported", w.Value),
			"the embedded runtime has Go's regular expressions: no look-around, no back references ("+strings.TrimPrefix(err.Error(), "error parsing regexp: ")+")",
			"write names, or a simpler pattern")
		return nil
	}
	return re
}
