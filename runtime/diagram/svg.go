package diagram

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// tints are the headers' colours by who the box belongs to. Every text stands
// on a ground of its own, so that the picture is legible on any page.
func tint(b *Box) string {
	switch b.From {
	case "clients":
		return "#cfe3ff"
	case edgeFile:
		return "#ffe6b8"
	case kasFile:
		return "#ead6f7"
	case haproxyFile, streamFile, webFile:
		return "#d3ecd2"
	default:
		return "#e3e5e8"
	}
}

// Colours that show on light and on dark pages.
const (
	ground = "#fbfcfd"
	ink    = "#1b1f24"
	faint  = "#57606a"
	stroke = "#7d8794"
)

// SVG draws the graph from left to right, as one file that needs nothing else.
func (g *Graph) SVG(w io.Writer) error {
	l := newLayout(g)
	var d drawing
	titleWidth := float64(columns(g.Title))*charWidth + 2*padding
	width := max(l.width, titleWidth+2*margin)
	height := l.height + margin
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 %s %s" width="%s" height="%s" font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="%d">`+"\n",
		number(width), number(height), number(width), number(height), fontSize)
	d.printf("<title>%s</title>\n", escape(g.Title))
	d.printf(`<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="%s"/></marker></defs>`+"\n", stroke)
	d.rect(margin, margin, titleWidth, lineHeight+padding, ground, stroke)
	d.text(margin+padding, margin+padding/2, g.Title, ink, "bold")
	for _, way := range l.ways {
		d.way(way)
	}
	for _, column := range l.columns {
		for _, b := range column {
			d.box(b)
		}
	}
	d.printf("</svg>\n")
	_, err := io.WriteString(w, d.String())
	return err
}

type drawing struct{ strings.Builder }

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(d, format, args...) }

func (d *drawing) rect(x, y, w, h float64, fill, line string) {
	d.printf(`<rect x="%s" y="%s" width="%s" height="%s" rx="4" fill="%s" stroke="%s"/>`+"\n", number(x), number(y), number(w), number(h), fill, line)
}

// text writes a line; y is its top.
func (d *drawing) text(x, y float64, s, fill, weight string) {
	if s == "" {
		return
	}
	d.printf(`<text x="%s" y="%s" fill="%s" font-weight="%s" textLength="%s" lengthAdjust="spacingAndGlyphs" xml:space="preserve">%s</text>`+"\n",
		number(x), number(y+fontSize), fill, weight, number(float64(columns(s))*charWidth), escape(s))
}

func (d *drawing) box(b *placed) {
	d.printf("<g>\n")
	d.rect(b.x, b.y, b.w, b.h, ground, stroke)
	// The header's lower corners are square.
	d.printf(`<path d="M%s %sh%sv%sh-%sz" fill="%s" stroke="%s"/>`+"\n", number(b.x), number(b.y), number(b.w), number(header-padding/2), number(b.w), tint(b.Box), stroke)
	d.text(b.x+padding, b.y+padding/4, b.Title, ink, "bold")
	d.text(b.x+padding, b.y+padding/4+lineHeight, b.From, faint, "normal")
	for i, f := range b.facts {
		d.text(b.x+padding, b.y+header+float64(i)*lineHeight, f, ink, "normal")
	}
	for _, r := range b.rows {
		y := b.y + r.y
		d.printf(`<path d="M%s %sh%s" stroke="%s" stroke-opacity="0.35"/>`+"\n", number(b.x), number(y), number(b.w), stroke)
		y += padding / 2
		for _, m := range r.name {
			d.text(b.x+padding, y, m, ink, "normal")
			y += lineHeight
		}
		for _, m := range r.match {
			d.text(b.x+padding, y, m, ink, "bold")
			y += lineHeight
		}
		for _, m := range r.below {
			d.text(b.x+padding, y, m, faint, "normal")
			y += lineHeight
		}
	}
	d.printf("</g>\n")
}

func (d *drawing) way(w *way) {
	var path strings.Builder
	for i, p := range w.points {
		command := "L"
		if i == 0 {
			command = "M"
		}
		path.WriteString(command + number(p[0]) + " " + number(p[1]))
	}
	d.printf(`<path d="%s" fill="none" stroke="%s" stroke-width="1.5" stroke-linejoin="round" marker-end="url(#arrow)"/>`+"\n", path.String(), stroke)
}

// number writes pixels, to a tenth.
func number(f float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0")
}

func escape(s string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		return "" // a Builder takes everything
	}
	return b.String()
}
