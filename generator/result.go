package generator

import (
	"path/filepath"

	"kasgen/generator/bundle"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
)

// stream is what `render --format=json` prints without -o.
type stream struct {
	Files    []streamFile  `json:"files"`
	Findings diag.Findings `json:"findings"`
}

type streamFile struct {
	Path    string `json:"path"`
	Content string `json:"content"`
}

func streamed(b *bundle.Bundle, warnings diag.Findings) stream {
	s := stream{Files: []streamFile{}, Findings: listed(warnings)}
	for _, f := range b.All() {
		s.Files = append(s.Files, streamFile{Path: f.Path, Content: string(f.Data)})
	}
	return s
}

// comparison is what `render --format=json` prints with -o.
type comparison struct {
	Directory string          `json:"directory"`
	Same      bool            `json:"same"` // before anything was written
	Changes   []bundle.Change `json:"changes"`
	Diff      string          `json:"diff,omitempty"`
	Findings  diag.Findings   `json:"findings"`
}

func compared(dir string, c *bundle.Comparison, warnings diag.Findings, diff bool) comparison {
	r := comparison{Directory: dir, Same: c.Same(), Changes: append([]bundle.Change{}, c.Changes...), Findings: listed(warnings)}
	if diff {
		r.Diff = string(c.Diff())
	}
	return r
}

// subjects are the spec and, where nothing is written, each file that is not
// as it would be: a failure of the comparison, and no finding.
func (r *rendering) subjects(c *bundle.Comparison) []diag.Subject {
	list := cli.Looked(r.spec)
	if !r.check && !r.diff {
		return list
	}
	if c.Same() {
		return append(list, diag.Subject{Name: r.dir})
	}
	for _, change := range c.Changes {
		text := map[bundle.ChangeKind]string{
			bundle.Added: "the file would be added", bundle.Changed: "the file would be changed", bundle.Removed: "the file would be removed",
		}[change.Kind]
		list = append(list, diag.Subject{
			Name:    filepath.Join(r.dir, filepath.FromSlash(change.Path)),
			Failure: &diag.Failure{Kind: "difference", Text: text},
		})
	}
	return list
}

// listed is never null in JSON.
func listed(fs diag.Findings) diag.Findings {
	if fs == nil {
		return diag.Findings{}
	}
	return fs
}
