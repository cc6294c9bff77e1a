package cost

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteText prints the report, its empty parts left out.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	table := func(title string, rows [][]string) {
		if len(rows) == 0 {
			return
		}
		fmt.Fprintf(&b, "%s:\n", title)
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, row := range rows {
			fmt.Fprintf(t, "  %s\n", strings.TrimRight(strings.Join(row, "\t"), "\t"))
		}
		_ = t.Flush() // a strings.Builder takes everything
	}
	table("programs", rows(r.Roles, func(x Role) []string {
		return []string{x.File, string(x.Action), strings.Join(x.Why, "; ")}
	}))
	table("listeners", rows(r.Listeners, func(x Listener) []string {
		switch x.Kind {
		case Moves:
			return []string{x.File, x.Owner, string(x.Kind), x.From + " -> " + x.To}
		case Passes:
			return []string{x.File, x.Owner, string(x.Kind), x.From + " to " + x.ToFile + ", which can open it only when it is free"}
		default:
			return []string{x.File, x.Owner, string(x.Kind), x.From + x.To}
		}
	}))
	table("names", rows(r.Names, func(x Name) []string { return []string{x.Name, string(x.Kind)} }))
	table("certificates", rows(r.Certificates, func(x Certificate) []string {
		if x.Kind == Changes {
			return []string{x.File, string(x.Kind), x.Path + " is to hold " + strings.Join(x.Names, ", ") + "; a file that exists stays as it is"}
		}
		return []string{x.File, string(x.Kind), x.Path}
	}))
	table("traffic", rows(r.Traffic, func(x Traffic) []string { return []string{x.Kind, string(x.From) + " -> " + string(x.To)} }))
	loss := func(x Loss) []string { return []string{"through " + x.File, x.When, x.Why} }
	table("agents that reconnect", rows(r.Agents, loss))
	table("streams that are cut", rows(r.Streams, loss))
	_, err := io.WriteString(w, b.String())
	return err
}

func rows[T any](list []T, row func(T) []string) [][]string {
	var all [][]string
	for _, x := range list {
		all = append(all, row(x))
	}
	return all
}
