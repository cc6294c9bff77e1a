package generator

import (
	"kasgen/generator/bundle"
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

// listed is never null in JSON.
func listed(fs diag.Findings) diag.Findings {
	if fs == nil {
		return diag.Findings{}
	}
	return fs
}
