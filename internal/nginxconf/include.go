package nginxconf

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"kasgen/internal/diag"
)

// More finding codes: those of include.
const (
	codeInclude      = "KAS2106" // a file that cannot be included
	codeIncludeCycle = "KAS2107" // a file that includes itself
)

// Source is where included files come from.
type Source struct {
	// ReadFile reads one file.
	ReadFile func(path string) ([]byte, error)
	// Glob lists the files that match a pattern of filepath.Match.
	Glob func(pattern string) ([]string, error)
}

// Expand is f with every include replaced by what it includes, in all blocks.
// Relative names are relative to the directory of f, in included files too, as
// nginx's are to that of its main file. What is read keeps its own file's name
// in its places. Where something could not be included the findings say why, and
// nothing stands in its place.
func (f *File) Expand(s Source) (*File, diag.Findings) {
	e := &expansion{source: s, dir: path.Dir(f.Name)}
	out := *f
	out.Directives, out.Tail = e.directives(f.Directives, f.Tail, []string{f.Name})
	return &out, e.fs
}

// Includes tells whether f asks for other files.
func (f *File) Includes() bool { return includes(f.Directives) }

func includes(ds []*Directive) bool {
	return slices.ContainsFunc(ds, func(d *Directive) bool {
		return d.Name.Value == include || d.Block != nil && includes(d.Block.Directives)
	})
}

const include = "include"

type expansion struct {
	source Source
	dir    string
	fs     diag.Findings
}

// directives expands one list; chain is the files that led to it.
func (e *expansion) directives(ds []*Directive, tail, chain []string) ([]*Directive, []string) {
	var out []*Directive
	var left []string // comments of an include that brought nothing
	for _, d := range ds {
		if d.Name.Value == include {
			comments := append(left, d.Before...)
			if d.Comment != nil {
				comments = append(comments, *d.Comment)
			}
			more, rest := e.include(d, chain)
			if len(more) > 0 {
				first := *more[0]
				first.Before = append(comments, first.Before...)
				more = append([]*Directive{&first}, more[1:]...)
				comments = nil
			}
			out, left = append(out, more...), append(comments, rest...)
			continue
		}
		if d.Block != nil || len(left) > 0 {
			own := *d
			own.Before = append(left, d.Before...)
			left = nil
			if d.Block != nil {
				b := *d.Block
				b.Directives, b.Tail = e.directives(b.Directives, b.Tail, chain)
				own.Block = &b
			}
			d = &own
		}
		out = append(out, d)
	}
	return out, append(left, tail...)
}

func (e *expansion) fault(code string, pos diag.Pos, what, why, fix string) {
	e.fs.Add(diag.Finding{Code: code, Pos: pos, What: what, Why: why, Fix: fix})
}

// include is what one include directive stands for, and comments behind it.
func (e *expansion) include(d *Directive, chain []string) ([]*Directive, []string) {
	if len(d.Args) != 1 || d.Block != nil || d.Args[0].Value == "" {
		e.fault(codeInclude, d.Name.Pos, `"include" takes one file or pattern`, "nginx would refuse the line", "write one name behind it")
		return nil, nil
	}
	name := d.Args[0].Value
	if !path.IsAbs(name) {
		name = path.Join(e.dir, name)
	}
	files := []string{name}
	if strings.ContainsAny(name, "*?[") {
		if e.source.Glob == nil {
			e.unread(d.Args[0], "no other file may be read here")
			return nil, nil
		}
		var err error
		if files, err = e.source.Glob(name); err != nil {
			e.unread(d.Args[0], err.Error())
			return nil, nil
		}
		slices.Sort(files)
	}
	var out []*Directive
	var tail []string
	for _, file := range files {
		more, rest := e.file(d.Args[0], file, chain)
		if len(more) > 0 && len(tail) > 0 {
			first := *more[0]
			first.Before = append(tail, first.Before...)
			more[0], tail = &first, nil
		}
		out, tail = append(out, more...), append(tail, rest...)
	}
	return out, tail
}

func (e *expansion) unread(w Word, why string) {
	e.fault(codeInclude, w.Pos, fmt.Sprintf("including %q: %s", w.Value, why), "nginx does not start without a file that it is told to include",
		"put the file there, or correct the name; only a pattern may match nothing")
}

// file is the directives of one included file.
func (e *expansion) file(at Word, file string, chain []string) ([]*Directive, []string) {
	if slices.Contains(chain, file) {
		e.fault(codeIncludeCycle, at.Pos, "the file includes itself: "+strings.Join(append(chain, file), " -> "),
			"nginx would open it again and again until it may open no more", "take one of these includes out")
		return nil, nil
	}
	if e.source.ReadFile == nil {
		e.unread(at, "no other file may be read here")
		return nil, nil
	}
	data, err := e.source.ReadFile(file)
	if err != nil {
		e.unread(at, err.Error())
		return nil, nil
	}
	f, err := Parse(file, data)
	if fs, ok := errors.AsType[diag.Findings](err); ok {
		e.fs = append(e.fs, fs...)
		return nil, nil
	}
	return e.directives(f.Directives, f.Tail, append(chain[:len(chain):len(chain)], file))
}
