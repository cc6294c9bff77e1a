package directive

import (
	"strings"

	"kasgen/internal/nginxconf"
)

// Part is a piece of a text: a variable's name, or words that stand for
// themselves.
type Part struct{ Variable, Text string }

// Parts cuts a text at its variables: $name and ${name}. It is nothing where
// the text is faulty.
func (r *Reader) Parts(w nginxconf.Word) []Part {
	var out []Part
	rest := w.Value
	for {
		i := strings.IndexByte(rest, '$')
		if i < 0 {
			if rest != "" {
				out = append(out, Part{Text: rest})
			}
			return out
		}
		if i > 0 {
			out = append(out, Part{Text: rest[:i]})
		}
		rest = rest[i+1:]
		name := ""
		if inner, ok := strings.CutPrefix(rest, "{"); ok {
			var closed bool
			if name, rest, closed = strings.Cut(inner, "}"); !closed {
				r.Arguments(w, "the closing bracket in %q is missing", w.Value)
				return nil
			}
		} else if rest != "" && rest[0] >= '1' && rest[0] <= '9' {
			name, rest = rest[:1], rest[1:] // a capture has one digit
		} else {
			name = rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"))]
			rest = rest[len(name):]
		}
		if name == "" {
			r.Arguments(w, "invalid variable name in %q", w.Value)
			return nil
		}
		out = append(out, Part{Variable: name})
	}
}
