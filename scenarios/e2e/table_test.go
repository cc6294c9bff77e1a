//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"kasgen/scenarios/demo"
)

// printTable prints a line for each operation of a kubectl and a column for
// each topology and front; both agents are in one field.
func printTable(out io.Writer, cells []*cell) {
	var worlds, rows []string
	fields := map[string]map[string]field{}
	for _, c := range cells {
		row := strings.Join([]string{c.client.version, c.transport.name, c.action.name}, "\t")
		if fields[row] == nil {
			rows, fields[row] = append(rows, row), map[string]field{}
		}
		w := c.world.name()
		if fields[row][w] == nil {
			fields[row][w] = field{}
		}
		fields[row][w].add(c)
		if len(rows) == 1 && len(fields[row]) > len(worlds) {
			worlds = append(worlds, w)
		}
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "KUBECTL\tTRANSPORT\tOPERATION\t%s\n", strings.Join(worlds, "\t"))
	for _, row := range rows {
		fmt.Fprint(t, row)
		for _, w := range worlds {
			fmt.Fprintf(t, "\t%s", fields[row][w])
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush() // a test's output takes everything
}

// field counts cells by their result.
type field map[demo.Result]int

func (f field) add(c *cell) { f[c.got]++ }

func (f field) String() string {
	var words []string
	for _, r := range []demo.Result{demo.Pass, demo.Refused, demo.Fail} {
		if f[r] > 0 {
			words = append(words, fmt.Sprintf("%d %s", f[r], r))
		}
	}
	return strings.Join(words, ", ")
}

// dimensions are the numbers of what the cells differ in.
func dimensions(cells []*cell) string {
	var words []string
	for _, d := range []struct {
		what string
		of   func(*cell) string
		list bool
	}{
		{"versions", func(c *cell) string { return c.client.version }, true},
		{"operations", func(c *cell) string { return c.action.name }, false},
		{"topologies", func(c *cell) string { return c.world.topology }, true},
		{"fronts", func(c *cell) string { return string(c.world.front) }, false},
		{"agents", func(c *cell) string { return c.agent }, false},
	} {
		var values []string
		for _, c := range cells {
			if v := d.of(c); !slices.Contains(values, v) {
				values = append(values, v)
			}
		}
		word := fmt.Sprintf("%d %s", len(values), d.what)
		if d.list {
			word += " (" + strings.Join(values, ", ") + ")"
		}
		words = append(words, word)
	}
	return strings.Join(words, " x ")
}
