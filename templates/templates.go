// Package templates owns the text of the files that are rendered from
// templates, one folder a target. It holds no logic. Its law: a template only
// places values that a target has quoted for it.
package templates

import "embed"

// FS holds every template.
//
//go:embed all:chart haproxy nginx omnibus systemd
var FS embed.FS
