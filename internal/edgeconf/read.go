package edgeconf

import (
	"errors"

	"kasgen/internal/strictyaml"
)

var errNegative = errors.New("a duration cannot be negative")

// Read parses an edge.yaml. name is the file's name for findings. The error,
// where there is one, is a diag.Findings with every fault.
func Read(name string, data []byte) (*File, error) {
	return strictyaml.Read(name, data, check)
}
