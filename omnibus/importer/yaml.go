package importer

import (
	"bytes"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// YAML is the kasgen.yaml, with where each field is from.
func (d Description) YAML() ([]byte, error) {
	var out bytes.Buffer
	fmt.Fprintln(&out, "# What Omnibus runs here, read by kasgen from its resolved settings.")
	fmt.Fprintln(&out, "apiVersion: kasgen/v1")
	var open []string
	done := map[string]bool{}
	for _, f := range d.Fields {
		section := strings.Split(f.Path, ".")[0]
		if done[section] {
			continue
		}
		done[section] = true
		open = open[:0]
		for _, g := range d.Fields {
			path := strings.Split(g.Path, ".")
			if path[0] != section {
				continue
			}
			for i := range path[:len(path)-1] {
				if i < len(open) && open[i] == path[i] {
					continue
				}
				open = append(open[:i], path[i])
				fmt.Fprintf(&out, "%s%s:\n", strings.Repeat("  ", i), path[i])
			}
			open = open[:len(path)-1]
			value, err := yaml.Marshal(g.Value)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", g.Path, err)
			}
			indent := strings.Repeat("  ", len(path)-1)
			fmt.Fprintf(&out, "%s# %s\n", indent, g.Why)
			text := strings.TrimSuffix(string(value), "\n")
			if _, many := g.Value.([]string); many {
				fmt.Fprintf(&out, "%s%s:\n", indent, path[len(path)-1])
				for line := range strings.Lines(text) {
					fmt.Fprintf(&out, "%s%s\n", indent, strings.TrimSuffix(line, "\n"))
				}
				continue
			}
			fmt.Fprintf(&out, "%s%s: %s\n", indent, path[len(path)-1], text)
		}
	}
	return out.Bytes(), nil
}
