// Package docs owns what is written for people and also printed by kasgen
// itself. It knows no format; who prints a text reads it.
package docs

import _ "embed"

//go:embed findings.md
var findings string

// Findings is findings.md, the one source of what is said about each code.
func Findings() string { return findings }
