package importer

import (
	"cmp"
	"strings"

	"kasgen/internal/commented"
)

// YAML is the kasgen.yaml, with where each field is from.
func (d Description) YAML() ([]byte, error) {
	var fields []commented.Field
	for _, f := range d.Fields {
		fields = append(fields, commented.Field{Path: strings.Split(f.Path, "."), Value: f.Value, Why: f.Why})
	}
	text, err := commented.Write(fields)
	header := cmp.Or(d.Header, "What Omnibus runs here, read by kasgen from its resolved settings.")
	return append([]byte("# "+header+"\napiVersion: kasgen/v1\n"), text...), err
}
