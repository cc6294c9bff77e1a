package explain

import (
	"fmt"
	"io"
	"strings"
)

// width is where lines of a paragraph are broken.
const width = 80

// WriteText prints the whole entry.
func (e Entry) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n%s · %s\n\n", e.Code, e.Title, e.Severity, e.About)
	paragraph(&b, "", e.What)
	b.WriteString("\n")
	paragraph(&b, "why: ", e.Why)
	paragraph(&b, "fix: ", e.Fix)
	b.WriteString("\nexample:\n")
	for line := range strings.Lines(e.Example) {
		b.WriteString("  " + line)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Markdown is the entry without its heading.
func (e Entry) Markdown() string {
	return fmt.Sprintf("%s\n\n**Why**: %s\n\n**Fix**: %s\n\n```%s\n%s```\n", e.What, e.Why, e.Fix, e.Language, e.Example)
}

// Plain is the entry in plain text without its heading and example.
func (e Entry) Plain() string {
	return fmt.Sprintf("%s\nWhy: %s\nFix: %s", plain(e.What), plain(e.Why), plain(e.Fix))
}

// plain takes the marks of code away.
func plain(text string) string { return strings.ReplaceAll(text, "`", "") }

// paragraph breaks text into lines that begin with label, or with as many
// spaces.
func paragraph(b *strings.Builder, label, text string) {
	line := label
	for word := range strings.FieldsSeq(plain(text)) {
		switch {
		case len(line)+1+len(word) > width && strings.TrimSpace(line) != "" && line != label:
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line = strings.Repeat(" ", len(label)) + word
		case strings.TrimSpace(line) == "" || line == label:
			line += word
		default:
			line += " " + word
		}
	}
	b.WriteString(line + "\n")
}
