package manual

import "strings"

// roff gathers a man page.
type roff struct{ strings.Builder }

// escape makes text mean itself.
func escape(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, "…", "...").Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}

// macro writes a line of a macro with its arguments.
func (w *roff) macro(name string, args ...string) {
	w.WriteString("." + name)
	for _, a := range args {
		w.WriteString(` "` + strings.ReplaceAll(escape(a), `"`, `\(dq`) + `"`)
	}
	w.WriteString("\n")
}

func (w *roff) section(name string) { w.macro("SH", name) }

// text writes a paragraph.
func (w *roff) text(line string) { w.WriteString(escape(line) + "\n") }

func (w *roff) bold(line string) { w.macro("B", line) }

// item writes a word and what it means.
func (w *roff) item(label, meaning string) {
	w.macro("TP")
	w.bold(label)
	w.text(meaning)
}

// prose writes paragraphs; lines that are indented stay as they are.
func (w *roff) prose(text string) {
	first, verbatim := true, false
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		if indented := strings.HasPrefix(line, "  "); indented != verbatim && line != "" {
			if indented {
				w.macro("PP")
				w.macro("nf")
			} else {
				w.macro("fi")
			}
			verbatim = indented
		}
		switch {
		case line != "":
			w.text(strings.TrimPrefix(line, "  "))
		case verbatim:
			w.WriteString("\n")
		case !first:
			w.macro("PP")
		}
		first = false
	}
	if verbatim {
		w.macro("fi")
	}
}
