package nginxconf

import "strings"

// Print is the canonical text of f: four spaces a level, one directive a
// line, quotes only where they are needed.
func (f *File) Print() []byte {
	var b strings.Builder
	printDirectives(&b, f.Directives, f.Tail, "")
	return []byte(b.String())
}

func printDirectives(b *strings.Builder, ds []*Directive, tail []string, indent string) {
	for _, d := range ds {
		printComments(b, d.Before, indent)
		b.WriteString(indent + Quote(d.Name.Value))
		for _, a := range d.Args {
			b.WriteString(" " + Quote(a.Value))
		}
		if d.Block == nil {
			b.WriteString(";")
		} else {
			b.WriteString(" {\n")
			printDirectives(b, d.Block.Directives, d.Block.Tail, indent+"    ")
			b.WriteString(indent + "}")
		}
		if d.Comment != nil {
			b.WriteString(" #" + *d.Comment)
		}
		b.WriteString("\n")
	}
	printComments(b, tail, indent)
}

func printComments(b *strings.Builder, comments []string, indent string) {
	for _, c := range comments {
		b.WriteString(indent + "#" + c + "\n")
	}
}

// Quote writes one word so that nginx reads value back: bare where that
// works, else in double quotes.
func Quote(value string) string {
	if bareSafe(value) {
		return value
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(value) {
		switch c := value[i]; c {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func bareSafe(v string) bool {
	if v == "" || strings.IndexByte("{};#\"'", v[0]) >= 0 {
		return false
	}
	variable := false
	for i := 0; i < len(v); i++ {
		c := v[i]
		if c == '{' && variable {
			continue
		}
		variable = c == '$'
		switch {
		case isSpace(c), c == ';', c == '{':
			return false
		case c == '\\':
			// A backslash that would be read as an escape, or hide a
			// byte that ends the word.
			if i+1 == len(v) || strings.IndexByte("\"'\\trn ;{$", v[i+1]) >= 0 {
				return false
			}
		}
	}
	return true
}
