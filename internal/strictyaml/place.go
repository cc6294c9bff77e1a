package strictyaml

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"kasgen/internal/diag"
)

// Doc knows where in a file each field was written.
type Doc struct {
	file   string
	data   []byte
	places map[string]*yaml.Node
	faulty map[string]bool // fields with a finding; "" where nothing could be read
	starts []int           // byte offset of each line as yaml.v3 counts lines
	ends   []int           // byte offset of each LF, which is how editors count lines
	last   cursor
}

// Faulty says whether the field at path, or a parent of it, could not be
// decoded, so that a check need not report its value a second time.
func (d *Doc) Faulty(path string) bool {
	for !d.faulty[path] {
		if path == "" {
			return false
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return true
}

// cursor is the place that was asked for last. Places are asked for in order,
// mostly, so going on from there keeps a file that is one long line cheap.
type cursor struct{ line, column, at int }

func newDoc(file string, data []byte) *Doc {
	return &Doc{file: file, data: data, places: map[string]*yaml.Node{}, faulty: map[string]bool{}}
}

// Pos is the place of the field at path, such as "loadBalancer.listen[0]", or
// of its nearest parent that the file has, or the file's first byte.
func (d *Doc) Pos(path string) diag.Pos {
	for path != "" {
		if n, ok := d.places[path]; ok {
			return d.node(n)
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return diag.Pos{File: d.file, Line: 1, Column: 1}
}

// Has says whether the file sets the field at path to something other than
// null.
func (d *Doc) Has(path string) bool {
	_, ok := d.places[path]
	return ok
}

// offset is the place of a byte.
func (d *Doc) offset(at int) diag.Pos {
	if d.ends == nil {
		d.ends = []int{-1}
		for i, b := range d.data {
			if b == '\n' {
				d.ends = append(d.ends, i)
			}
		}
	}
	line, _ := slices.BinarySearch(d.ends, at)
	return diag.Pos{File: d.file, Line: line, Column: at - d.ends[line-1]}
}

// node is the place of a node. yaml.v3 counts columns in characters and ends
// lines at more characters than editors do, so its figures are turned into a
// byte offset first.
func (d *Doc) node(n *yaml.Node) diag.Pos {
	if d.starts == nil {
		d.starts = lineStarts(d.data)
	}
	if n.Line < 1 || n.Line > len(d.starts) {
		return diag.Pos{File: d.file, Line: max(n.Line, 1), Column: max(n.Column, 1)}
	}
	c := d.last
	if c.line != n.Line || c.column > n.Column {
		c = cursor{line: n.Line, column: 1, at: d.starts[n.Line-1]}
	}
	for ; c.column < n.Column && c.at < len(d.data); c.column++ {
		_, size := utf8.DecodeRune(d.data[c.at:])
		c.at += size
	}
	d.last = c
	return d.offset(c.at)
}

// line is the place of the first thing on a line, as yaml.v3 counts lines. It
// counts past the end of the file when something is missing there.
func (d *Doc) line(number int) diag.Pos {
	starts := lineStarts(d.data)
	at := starts[min(max(number, 1), len(starts))-1]
	for at < len(d.data) && (d.data[at] == ' ' || d.data[at] == '\t') {
		at++
	}
	return d.offset(at)
}

// lineStarts lists where lines begin, by the line ends of YAML 1.1 (section
// 4.1.4): LF, CR, CRLF, NEL, LS and PS.
func lineStarts(data []byte) []int {
	starts := []int{0}
	for i := 0; i < len(data); i++ {
		rest := data[i:]
		switch {
		case data[i] == '\n':
			starts = append(starts, i+1)
		case data[i] == '\r' && !bytes.HasPrefix(rest, []byte("\r\n")):
			starts = append(starts, i+1)
		case bytes.HasPrefix(rest, []byte("\u0085")):
			starts = append(starts, i+2)
		case bytes.HasPrefix(rest, []byte("\u2028")), bytes.HasPrefix(rest, []byte("\u2029")):
			starts = append(starts, i+3)
		}
	}
	return starts
}
