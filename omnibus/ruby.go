package omnibus

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"kasgen/generator/target"
	"kasgen/generator/topology"
)

// RubyPath is the file of keys, in a bundle.
const RubyPath = "kasgen.rb"

// The marks around what is added to a text that may be somebody else's. They
// are comments of nginx's.
const (
	markBegin = "# kasgen begin"
	markEnd   = "# kasgen end"
)

// line is one key as the template places it.
type line struct {
	Why, Key, Parent, Name, Value string
	Set, Text, List, Least, Off   bool
}

// ruby writes the file that gitlab.rb reads.
func ruby(t topology.Topology, s settings) ([]byte, error) {
	var lines []line
	for _, one := range s.list {
		l := line{Why: one.why, Key: rubyKey(one.key), Set: one.how == set, Text: one.how == text, List: one.how == list, Least: one.how == least, Off: one.how == off}
		if len(one.key) > 1 {
			l.Parent, l.Name = rubyKey(one.key[:len(one.key)-1]), literal(one.key[len(one.key)-1])
		}
		if one.how == text {
			one.value = markBegin + "\n" + fmt.Sprint(one.value) + "\n" + markEnd
		}
		var err error
		if l.Value, err = rubyValue(one.value); err != nil {
			return nil, fmt.Errorf("%s: %w", l.Key, err)
		}
		lines = append(lines, l)
	}
	has := func(h how) bool { return slices.ContainsFunc(s.list, func(one setting) bool { return one.how == h }) }
	return target.Execute("omnibus/kasgen.rb.tmpl", literal, map[string]any{
		"Header":  target.Header(t, "Keys of gitlab.rb for GitLab "+s.pkg.Version.String()),
		"Lines":   lines,
		"HasText": has(text), "HasList": has(list), "HasLeast": has(least),
		"Begin": markBegin, "End": markEnd,
	})
}

// rubyKey is the expression of a key: a method, and indexes.
func rubyKey(key []string) string {
	b := strings.Builder{}
	b.WriteString(key[0])
	for _, k := range key[1:] {
		b.WriteString("[" + literal(k) + "]")
	}
	return b.String()
}

func rubyValue(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return literal(v), nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case []string:
		var items []string
		for _, item := range v {
			items = append(items, literal(item))
		}
		return "[" + strings.Join(items, ", ") + "]", nil
	default:
		return "", fmt.Errorf("a %T cannot be written in Ruby", v)
	}
}

// literal is a text in single quotes, in which Ruby reads nothing but the two
// escapes.
func literal(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
