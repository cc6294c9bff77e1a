package spec

import (
	"kasgen/internal/diag"
	"kasgen/internal/strictyaml"
)

// Places finds fields of a spec in its text and among its overrides, for
// findings of others.
func Places(name string, data []byte, overrides []Override) func(field string) diag.Pos {
	s := Default()
	doc, _ := strictyaml.Decode(name, data, &s)
	sources := map[string]string{}
	for _, o := range overrides {
		sources[o.Field] = o.Source
	}
	return func(field string) diag.Pos {
		if source, ok := sources[field]; ok {
			return diag.Pos{File: source}
		}
		return doc.Pos(field)
	}
}
