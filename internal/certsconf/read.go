package certsconf

import (
	"kasgen/internal/diag"
	"kasgen/internal/strictyaml"
)

// Read parses a certs.yaml. name is the file's name for findings. The error,
// where there is one, is a diag.Findings with every fault.
func Read(name string, data []byte) (*File, error) {
	return strictyaml.Read(name, data, check)
}

// Pos is where a field is in a certs.yaml that Read takes.
func Pos(name string, data []byte, field string) diag.Pos {
	doc, _ := strictyaml.Decode(name, data, new(File))
	return doc.Pos(field)
}
