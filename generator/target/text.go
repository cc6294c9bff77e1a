// Package target owns what targets share: executing a template so that a value
// that is not there is an error. It knows no target. Its law: rendering twice
// gives the same bytes.
package target

import (
	"bytes"
	"fmt"
	"path"
	"text/template"
	"time"

	"kasgen/templates"
)

// Streams is how many streams one HTTP/2 connection may have at once: agentk
// opens up to 500 tunnels in one connection, and a few calls beside them.
const Streams = 1000

// Execute renders the template in file with values. word quotes a text as the
// program's syntax asks.
func Execute(file string, word func(string) string, values any) ([]byte, error) {
	t := template.New("").Option("missingkey=error").Funcs(template.FuncMap{
		"word":        func(v any) string { return word(fmt.Sprint(v)) },
		"duration":    Duration,
		"descriptors": descriptors,
	})
	// The templates of a folder may use each other.
	folder, name := path.Split(file)
	t, err := t.ParseFS(templates.FS, folder+"*.tmpl")
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", file, err)
	}
	var out bytes.Buffer
	if err := t.ExecuteTemplate(&out, name, values); err != nil {
		return nil, fmt.Errorf("rendering %s: %w", file, err)
	}
	return out.Bytes(), nil
}

// Duration writes whole milliseconds as HAProxy and nginx both read them: a
// whole number of the largest unit that fits.
func Duration(d time.Duration) string {
	for _, unit := range []struct {
		name string
		size time.Duration
	}{{"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if d%unit.size == 0 {
			return fmt.Sprintf("%d%s", d/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%dms", d.Milliseconds())
}

// descriptors is how many file descriptors HAProxy wants for so many
// connections: two sockets each, a pipe for splicing at every fourth, and some
// for itself (measured with 2.6: 50,018 for 20,000).
func descriptors(connections int) int { return connections*5/2 + 100 }
