package diagram

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kasgen/internal/edgeconf"
	"kasgen/internal/haproxyconf"
	"kasgen/internal/kasconf"
	"kasgen/internal/lockfile"
	"kasgen/internal/nginxconf"
)

// graphs are those of every golden bundle of the generator, and one that has
// what no bundle has.
func graphs(t *testing.T) map[string]*Graph {
	t.Helper()
	found, err := filepath.Glob("../../generator/testdata/render/*.txtar")
	if err != nil || len(found) < 10 {
		t.Fatalf("%d bundles, %v", len(found), err)
	}
	out := map[string]*Graph{"odd": odd()}
	for _, path := range found {
		a, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var f Files
		for _, file := range a.Files {
			switch file.Name {
			case lockfile.Name:
				f.Lock, err = lockfile.Read(file.Name, file.Data)
			case haproxyFile:
				f.HAProxy, err = haproxyconf.Parse(file.Name, file.Data)
			case streamFile:
				f.Stream, err = nginxconf.Parse(file.Name, file.Data)
			case webFile:
				f.Web, err = nginxconf.Parse(file.Name, file.Data)
			case edgeFile:
				f.Edge, err = edgeconf.Read(file.Name, file.Data)
			case kasFile:
				f.Kas, err = kasconf.Read(file.Name, file.Data)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if f.Kas != nil {
			f.Kas = f.Kas.WithDefaults()
		}
		if f.Lock != nil {
			out[filepath.Base(path)] = New(f)
		}
	}
	return out
}

// odd has arrows over several columns, back, and to the box itself, long texts
// and characters of every kind.
func odd() *Graph {
	long := strings.Repeat("a very long word of many ", 6) + strings.Repeat("x", 100)
	box := func(title string, to ...string) *Box {
		b := &Box{Title: title, From: "file", Facts: []string{long, "寛い文字 and <b>\"&'`#"}, listen: []string{title}}
		for _, t := range to {
			b.Rows = append(b.Rows, Row{Name: "a name", Match: "to " + t, Carries: long, addresses: []string{t}})
		}
		return b
	}
	g := &Graph{Title: "odd: \"<&>\"", Boxes: []*Box{
		box("a", "b", "c", "d", "e", "f"), box("b", "c", "a", "b"), box("c", "d", "f"), box("d", "e"), box("e"), box("f"), box("alone"),
	}}
	g.Boxes[6].Rows = []Row{{Match: "all", Answer: "closed"}, {Match: "else", Answer: "files of /x"}}
	g.resolve()
	g.order()
	return g
}

// TestLayout: boxes lie apart, texts in their boxes, and no arrow runs through
// a box or along another one.
func TestLayout(t *testing.T) {
	t.Parallel()
	for name, g := range graphs(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLayout(g)
			var boxes []*placed
			for _, column := range l.columns {
				boxes = append(boxes, column...)
			}
			if len(boxes) != len(g.Boxes) {
				t.Errorf("%d boxes of %d are placed", len(boxes), len(g.Boxes))
			}
			for i, b := range boxes {
				if b.x < 0 || b.y < titleRoom || b.x+b.w > l.width || b.y+b.h > l.height+0.1 {
					t.Errorf("%s lies outside: %v %v %v %v in %v %v", b.Title, b.x, b.y, b.w, b.h, l.width, l.height)
				}
				for _, other := range boxes[i+1:] {
					if b.x < other.x+other.w && other.x < b.x+b.w && b.y < other.y+other.h && other.y < b.y+b.h {
						t.Errorf("%s and %s overlap", b.Title, other.Title)
					}
				}
				texts := append([]string{b.Title, b.From}, b.facts...)
				for _, r := range b.rows {
					texts = append(append(append(texts, r.name...), r.match...), r.below...)
				}
				for _, s := range texts {
					if float64(columns(s))*charWidth > b.w-2*padding+0.1 {
						t.Errorf("%q is wider than its box", s)
					}
				}
			}
			arrows := 0
			for _, b := range g.Boxes {
				for _, r := range b.Rows {
					arrows += len(r.To)
				}
			}
			if len(l.ways) != arrows {
				t.Errorf("%d arrows of %d are drawn", len(l.ways), arrows)
			}
			for _, w := range l.ways {
				clear(t, w, boxes)
			}
			apart(t, l.ways)
		})
	}
}

// clear fails if a way runs through a box.
func clear(t *testing.T, w *way, boxes []*placed) {
	t.Helper()
	for i := 1; i < len(w.points); i++ {
		p, q := w.points[i-1], w.points[i]
		if p[0] != q[0] && p[1] != q[1] {
			t.Errorf("%s to %s: %v to %v is askew", w.from.Title, w.to.Title, p, q)
		}
		left, right, top, bottom := min(p[0], q[0]), max(p[0], q[0]), min(p[1], q[1]), max(p[1], q[1])
		for _, b := range boxes {
			if left < b.x+b.w-0.1 && right > b.x+0.1 && top < b.y+b.h-0.1 && bottom > b.y+0.1 {
				t.Errorf("%s to %s runs through %s", w.from.Title, w.to.Title, b.Title)
			}
		}
	}
}

// apart fails if two ways go up or down on the same track: one could not tell
// them apart. Level ones may meet, where one ends and another passes.
func apart(t *testing.T, ways []*way) {
	t.Helper()
	type run struct {
		x, top, bottom float64
		way            *way
	}
	var runs []run
	for _, w := range ways {
		for i := 1; i < len(w.points); i++ {
			p, q := w.points[i-1], w.points[i]
			if p[0] == q[0] && p[1] != q[1] {
				runs = append(runs, run{p[0], min(p[1], q[1]), max(p[1], q[1]), w})
			}
		}
	}
	for i, a := range runs {
		for _, b := range runs[i+1:] {
			if a.way != b.way && a.x == b.x && a.top < b.bottom && b.top < a.bottom {
				t.Errorf("%s to %s and %s to %s share a track", a.way.from.Title, a.way.to.Title, b.way.from.Title, b.way.to.Title)
			}
		}
	}
}

// TestSame: a graph is drawn the same each time.
func TestSame(t *testing.T) {
	t.Parallel()
	draw := func() string {
		var b strings.Builder
		for _, g := range []*Graph{odd(), graphs(t)["D.txtar"]} {
			for _, err := range []error{g.Text(&b, TextOptions{Width: 80}), g.Mermaid(&b), g.SVG(&b)} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		return b.String()
	}
	if a, b := draw(), draw(); a != b {
		t.Error(cmp.Diff(a, b))
	}
}

// TestText: no line is wider than the terminal, and the sides of boxes stand
// below each other.
func TestText(t *testing.T) {
	t.Parallel()
	for name, g := range graphs(t) {
		for _, width := range []int{0, 40, 57, 80, 200} {
			for _, ascii := range []bool{false, true} {
				var b strings.Builder
				if err := g.Text(&b, TextOptions{Width: width, ASCII: ascii}); err != nil {
					t.Fatal(err)
				}
				for i, line := range strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n") {
					if n := columns(line); i > 0 && line != "" && n != max(width, leastWidth) {
						t.Fatalf("%s, %d columns: line %d has %d: %s", name, width, i+1, n, line)
					}
				}
			}
		}
	}
}

// TestMermaid holds the chart to the part of mermaid's grammar that it uses.
func TestMermaid(t *testing.T) {
	t.Parallel()
	for name, g := range graphs(t) {
		var b strings.Builder
		if err := g.Mermaid(&b); err != nil {
			t.Fatal(err)
		}
		head, body, ok := strings.Cut(b.String(), "flowchart LR\n")
		if !ok || !strings.HasPrefix(head, "---\ntitle: \"") {
			t.Errorf("%s begins with %q", name, head)
		}
		for line := range strings.Lines(body) {
			if strings.Count(line, `"`)%2 != 0 {
				t.Errorf("%s: %s", name, line)
			}
			// What is between quotes holds nothing that ends or begins anything.
			for i, part := range strings.Split(line, `"`) {
				inner := strings.NewReplacer("<b>", "", "</b>", "", "<i>", "", "</i>", "", "<br>", "").Replace(part)
				if i%2 == 1 && strings.ContainsAny(inner, "<>[]{}()|`&\\") {
					t.Errorf("%s: %q in %s", name, inner, line)
				}
			}
		}
	}
}

func TestCondition(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"if { req.ssl_sni -i a b }":        "SNI a, b",
		"unless { path_beg /gitlab. }":     "not /gitlab.…",
		"if { path /x }":                   "= /x",
		"if { req.ssl_alpn h2 }":           "ALPN h2",
		"if { hdr(host) -i a }":            "Host a",
		"if { src 10.0.0.0/8 }":            "if { src 10.0.0.0/8 }",
		"if named":                         "if named",
		"if { path_beg /a } { path_beg /b": "if { path_beg /a } { path_beg /b",
	} {
		if got := condition(strings.Fields(in)); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in    string
		width int
		want  []string
	}{
		{"", 5, []string{""}},
		{"one two", 7, []string{"one two"}},
		{"one two", 6, []string{"one", "two"}},
		{"one  two", 4, []string{"one", "two"}},
		{"abcdefgh", 3, []string{"abc", "def", "gh"}},
		{"字字字", 4, []string{"字字", "字"}},
	} {
		if diff := cmp.Diff(tt.want, wrap(tt.in, tt.width)); diff != "" {
			t.Errorf("%q in %d: %s", tt.in, tt.width, diff)
		}
	}
}

func TestReaches(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		address, listen string
		want            bool
	}{
		{"127.0.0.1:8150", "0.0.0.0:8150", true},
		{"127.0.0.1:8150", ":8150", true},
		{"[::1]:8150", "[::]:8150", true},
		{"127.0.0.1:8150", "0.0.0.0:8151", false},
		{"10.0.0.1:8150", "127.0.0.1:8150", false},
		{"x", "0.0.0.0:8150", false},
	} {
		if got := reaches(tt.address, tt.listen); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}
