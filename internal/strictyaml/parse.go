package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"kasgen/internal/diag"
)

// decoder is one pass over one document.
type decoder struct {
	doc      *Doc
	findings diag.Findings
	aliased  int                 // nodes visited inside aliases
	depth    int                 // aliases being followed
	open     map[*yaml.Node]bool // anchored nodes being decoded, to see cycles
}

// parse gives the root node, or nil where there is none or it cannot be read.
func (d *decoder) parse(data []byte) *yaml.Node {
	root := d.document(data)
	if root == nil && len(d.findings) > 0 {
		d.doc.faulty[""] = true
	}
	return root
}

func (d *decoder) document(data []byte) *yaml.Node {
	if len(data) > MaxBytes {
		d.findings.Add(diag.Finding{
			Code: CodeSize, Pos: diag.Pos{File: d.doc.file, Line: 1, Column: 1},
			What: fmt.Sprintf("the file has %d bytes, more than %d", len(data), MaxBytes),
			Why:  "a configuration file is a few KiB; a longer one is most likely another file",
			Fix:  "check the path",
		})
		return nil
	}
	if at, what := badByte(data); at >= 0 {
		d.findings.Add(diag.Finding{
			Code: CodeBytes, Pos: d.doc.offset(at), What: what,
			Why: "YAML is UTF-8 text without control characters",
			Fix: "remove it, or check that the path names a text file",
		})
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var root yaml.Node
	switch err := dec.Decode(&root); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		d.syntax(err)
		return nil
	}
	var next yaml.Node
	if err := dec.Decode(&next); !errors.Is(err, io.EOF) {
		pos := d.doc.node(&next)
		if err != nil || next.Line == 0 {
			pos = d.doc.line(max(bytes.Count(data, []byte("\n")), 1))
		}
		d.findings.Add(diag.Finding{
			Code: CodeDocuments, Pos: pos, What: "a second YAML document begins here",
			Why: "the file is one document; what follows it would be lost",
			Fix: "remove the --- line and what belongs to the second document",
		})
	}
	return &root
}

// errorLine finds the line in yaml.v3's messages, which carry no type.
var errorLine = regexp.MustCompile(`^line (\d+): `)

// unknownAnchor finds the name in the one message that has no line.
var unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced`)

func (d *decoder) syntax(err error) {
	what := strings.TrimPrefix(err.Error(), "yaml: ")
	pos := diag.Pos{File: d.doc.file, Line: 1, Column: 1}
	if m := errorLine.FindStringSubmatch(what); m != nil {
		what = what[len(m[0]):]
		if n, err := strconv.Atoi(m[1]); err == nil {
			pos = d.doc.line(n)
		}
	} else if m := unknownAnchor.FindStringSubmatch(what); m != nil {
		pos = d.doc.offset(max(bytes.Index(d.doc.data, []byte("*"+m[1])), 0))
	}
	d.findings.Add(diag.Finding{
		Code: CodeSyntax, Pos: pos, What: "not YAML: " + what,
		Why: "the file cannot be read past this place",
		Fix: "check the indentation (spaces, never tabs), quotes and brackets at and before this line",
	})
}

// badByte finds the first byte that YAML 1.1 section 4.1.1 forbids and that
// yaml.v3 would refuse without a place.
func badByte(data []byte) (int, string) {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == 0:
			return i, "a NUL byte"
		case r == utf8.RuneError && size == 1:
			return i, fmt.Sprintf("the byte 0x%02x, which is not UTF-8", data[i])
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0x7f, r > 0x7f && r < 0xa0 && r != 0x85,
			r == 0xfffe, r == 0xffff:
			return i, fmt.Sprintf("the control character U+%04X", r)
		}
		i += size
	}
	return -1, ""
}
