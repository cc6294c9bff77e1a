package spec

import "embed"

//go:embed *.go
var source embed.FS

// Source is this package's own text. What its comments say about a field is
// said nowhere else, so that the schema quotes them.
func Source() embed.FS { return source }
