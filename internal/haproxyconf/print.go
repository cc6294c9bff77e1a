package haproxyconf

import (
	"fmt"
	"strings"
)

// Print is the canonical text of f: sections apart by an empty line, their
// lines indented by four spaces, quotes only where they are needed.
func (f *File) Print() []byte {
	var b strings.Builder
	for i, s := range f.Sections {
		if i > 0 {
			b.WriteString("\n")
		}
		printLine(&b, s.Header, "")
		for _, l := range s.Lines {
			printLine(&b, l, "    ")
		}
	}
	printComments(&b, f.Tail, "")
	return []byte(b.String())
}

func printLine(b *strings.Builder, l *Line, indent string) {
	printComments(b, l.Before, indent)
	b.WriteString(indent)
	for i, w := range l.Words {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(Quote(w.Value))
	}
	if l.Comment != nil {
		b.WriteString(" #" + *l.Comment)
	}
	b.WriteByte('\n')
}

func printComments(b *strings.Builder, comments []string, indent string) {
	for _, c := range comments {
		b.WriteString(indent + "#" + c + "\n")
	}
}

// Quote writes one word so that HAProxy reads value back: bare where that
// works, else in single quotes, else in double quotes with escapes.
func Quote(value string) string {
	special := value == ""
	escape := false
	for i := range len(value) {
		switch c := value[i]; {
		case c < ' ', c == 0x7f, c == '\'':
			escape = true
		case c == ' ', c == '#', c == '"', c == '\\':
			special = true
		}
	}
	switch {
	case escape:
		return doubleQuote(value)
	case special:
		return "'" + value + "'"
	default:
		return value
	}
}

func doubleQuote(value string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(value) {
		switch c := value[i]; {
		case c == '"' || c == '\\' || c == '$':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ', c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
