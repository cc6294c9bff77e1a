package diagram

import (
	"fmt"
	"io"
	"strings"
)

// TextOptions say what a terminal can show.
type TextOptions struct {
	Width int  // columns; less than 40 is taken for 40
	ASCII bool // no characters beyond ASCII
}

// strokes are the characters of which boxes are made.
type strokes struct {
	topLeft, topRight, bottomLeft, bottomRight, left, right, across, down, arrow string
}

var (
	unicodeStrokes = strokes{"┌", "┐", "└", "┘", "├", "┤", "─", "│", "──▶"}
	asciiStrokes   = strokes{"+", "+", "+", "+", "+", "+", "-", "|", "-->"}
)

// leastWidth is what the longest word of a usual bundle needs.
const leastWidth = 40

// Text draws boxes one below the other; an arrow names the box that it leads
// to by its number.
func (g *Graph) Text(w io.Writer, o TextOptions) error {
	t := text{strokes: unicodeStrokes, width: max(o.Width, leastWidth), spell: func(s string) string { return s }}
	if o.ASCII {
		t.strokes, t.spell = asciiStrokes, ascii
	}
	t.line(t.spell(g.Title))
	for _, b := range g.Boxes {
		t.b.WriteByte('\n')
		t.box(b)
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

// ascii is a text with what is beyond ASCII as a question mark.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r > 0x7e {
			return '?'
		}
		return r
	}, strings.ReplaceAll(s, "…", "..."))
}

type text struct {
	strokes
	width int
	spell func(string) string
	b     strings.Builder
}

func (t *text) line(s string) { t.b.WriteString(strings.TrimRight(s, " ") + "\n") }

// inner is the room between the sides of a box.
func (t *text) inner() int { return t.width - 4 }

func (t *text) box(b *Box) {
	title, from := t.spell(fmt.Sprintf(" [%d] %s ", b.number, b.Title)), " "+t.spell(b.From)+" "
	rest := t.width - 4 - columns(title) - columns(from)
	if rest < 1 {
		title = cut(title, t.width-4-columns(from)-1)
		rest = t.width - 4 - columns(title) - columns(from)
	}
	t.line(t.topLeft + t.across + title + strings.Repeat(t.across, max(rest, 0)) + from + t.across + t.topRight)
	for _, f := range b.Facts {
		t.fill(f, "")
	}
	if len(b.Rows) > 0 && len(b.Facts) > 0 {
		t.line(t.left + strings.Repeat(t.across, t.width-2) + t.right)
	}
	t.rows(b.Rows)
	t.line(t.bottomLeft + strings.Repeat(t.across, t.width-2) + t.bottomRight)
}

// fill writes text between the sides, in as many lines as it needs.
func (t *text) fill(s, indent string) {
	for _, l := range wrap(t.spell(s), t.inner()-columns(indent)) {
		l = indent + l
		t.line(t.down + " " + l + strings.Repeat(" ", max(t.inner()-columns(l), 0)) + " " + t.down)
	}
}

// longMatch is what has a line of its own, so that a table stays narrow.
const longMatch = 30

// rows writes the ways on, as a table where that is not too wide.
func (t *text) rows(rows []Row) {
	match, carries, last, indent := 0, 0, 0, ""
	for _, r := range rows {
		if n := columns(t.spell(r.Match)); n <= longMatch {
			match = max(match, n+2)
		}
		if n := columns(t.spell(r.Carries)); n > 0 {
			carries = max(carries, n+2)
		}
		last = max(last, columns(t.target(r)))
		if r.Name != "" {
			indent = "  "
		}
	}
	table := columns(indent)+match+carries+last <= t.inner()
	name := ""
	for _, r := range rows {
		if r.Name != name {
			name = r.Name
			t.fill(name, "")
		}
		first := t.spell(r.Match)
		if !table || columns(first)+2 > match {
			t.fill(first, indent)
			first = ""
		}
		if table {
			t.fill(pad(first, match)+pad(t.spell(r.Carries), carries)+t.target(r), indent)
			continue
		}
		if r.Carries != "" {
			t.fill(r.Carries, indent+"    ")
		}
		t.fill(t.target(r), indent+"    ")
	}
}

// target is where a way leads, or how it ends.
func (t *text) target(r Row) string {
	if len(r.To) == 0 {
		return t.spell(r.end())
	}
	var to []string
	for _, b := range r.To {
		to = append(to, fmt.Sprintf("[%d] %s", b.number, b.Title))
	}
	return t.arrow + " " + t.spell(strings.Join(to, ", "))
}

func pad(s string, n int) string { return s + strings.Repeat(" ", max(n-columns(s), 0)) }
