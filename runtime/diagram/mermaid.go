package diagram

import (
	"fmt"
	"io"
	"strings"
)

// Mermaid writes the graph as a mermaid flowchart. What a row answers by
// itself is a node of its own.
func (g *Graph) Mermaid(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "---\ntitle: %s\n---\nflowchart LR\n", quoteYAML(g.Title))
	for _, box := range g.Boxes {
		lines := append([]string{"<b>" + label(box.Title) + "</b>", "<i>" + label(box.From) + "</i>"}, labels(box.Facts)...)
		fmt.Fprintf(&b, "    n%d[\"%s\"]\n", box.number, strings.Join(lines, "<br>"))
	}
	for _, box := range g.Boxes {
		for i, r := range box.Rows {
			text := label(r.Match)
			if r.Name != "" {
				text = "<i>" + label(r.Name) + "</i><br>" + text
			}
			if r.Carries != "" {
				text += "<br>" + label(r.Carries)
			}
			for _, to := range r.To {
				fmt.Fprintf(&b, "    n%d -->|\"%s\"| n%d\n", box.number, text, to.number)
			}
			if len(r.To) == 0 {
				fmt.Fprintf(&b, "    n%d -.->|\"%s\"| n%da%d([\"%s\"])\n", box.number, text, box.number, i+1, label(r.end()))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func labels(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = label(s)
	}
	return out
}

// label writes what mermaid would read as markup as entities: quotes end a
// label, a backtick begins markdown, and a number sign an entity.
func label(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch r {
		case '"', '#', '<', '>', '&', '`', '\\', '|', '[', ']', '{', '}', '(', ')', '*', '_', '~', '$', '%':
			fmt.Fprintf(&b, "#%d;", r)
		default:
			if r < ' ' {
				r = ' '
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}

// quoteYAML writes a title so that no colon in it means anything.
func quoteYAML(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
