package generator

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"kasgen/generator/bundle"
	"kasgen/internal/cli"
	"kasgen/internal/lockfile"
)

// rollbackCommand is `kasgen rollback`: a directory as it once was.
func rollbackCommand(streams cli.IO) *cobra.Command {
	o := &outcome{streams: streams}
	var list, force bool
	cmd := &cobra.Command{
		Use:   "rollback DIR [GENERATION]",
		Short: "Make a bundle one of its former generations again",
		Long: fmt.Sprintf(`Make a bundle one of its former generations again.

Each render that changes a directory makes a generation; the newest %d are kept
beside it, as .NAME.generations. Without a number the newest one is brought back
that is whole and is not in place, so that a second rollback takes back the
first: what is brought back is a new generation.

Neither a kasgen.yaml nor a valid directory is needed. What people changed by
hand is replaced only with --force, and stays as a generation.`, bundle.Kept),
		Example: `  kasgen rollback /etc/kasgen/bundle --list
  kasgen rollback /etc/kasgen/bundle --diff
  kasgen rollback /etc/kasgen/bundle 11`,
		Args: cobra.RangeArgs(1, 2),
	}
	cli.AddFormat(cmd, &o.format)
	cli.CompleteDir(cmd)
	cmd.Flags().BoolVar(&list, "list", false, "write nothing; list the generations")
	cmd.Flags().BoolVar(&o.diff, "diff", false, "write nothing; print what would change and what it costs, and exit 2 if anything would")
	cmd.Flags().BoolVar(&force, "force", false, "replace what was changed by hand")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		o.dir, o.compare = args[0], o.diff
		n := 0
		if len(args) == 2 {
			var err error
			if n, err = strconv.Atoi(args[1]); err != nil || n < 1 {
				return cli.Usage("%q is no number of a generation: --list lists them", args[1])
			}
		}
		switch {
		case list && (o.diff || force || n > 0):
			return cli.Usage("--list stands alone")
		case o.diff && force:
			return cli.Usage("--force is for writing, and --diff writes nothing")
		case list:
			return o.list()
		case o.diff:
			c, err := bundle.CompareGeneration(o.dir, n)
			if err != nil {
				return o.end(err, nil)
			}
			return o.differ(c, nil)
		}
		c, err := bundle.Rollback(o.dir, n, force)
		if err != nil {
			return o.end(err, nil)
		}
		return o.rolledBack(c)
	}
	return cmd
}

// rolledBack prints what a rollback did.
func (o *outcome) rolledBack(c *bundle.Comparison) error {
	if err := o.report(c, nil); err != nil || o.format.Document() || c.Same() {
		return err
	}
	_, err := fmt.Fprintf(o.streams.Out, "%s is generation %d now, which is generation %d again\n", o.dir, c.Generation, c.From)
	return err
}

// generation is what `rollback --list --format=json` prints of one.
type generation struct {
	Number     int                 `json:"number"`
	Written    time.Time           `json:"written"`
	Kasgen     string              `json:"kasgen,omitempty"`
	Topology   string              `json:"topology,omitempty"`
	SpecDigest string              `json:"specDigest,omitempty"`
	InPlace    bool                `json:"inPlace"`
	Broken     string              `json:"broken,omitempty"` // why its manifest cannot be read
	Edited     lockfile.Difference `json:"edited"`           // by hand
	Changes    []bundle.Change     `json:"changes"`          // from the one before
}

// list prints the generations of the directory.
func (o *outcome) list() error {
	h, err := bundle.Generations(o.dir)
	if err != nil {
		return err
	}
	warnings := h.Warnings(o.dir)
	if o.format == cli.JSON {
		all := []generation{}
		for _, g := range h.Generations {
			all = append(all, listedGeneration(g))
		}
		return cli.PrintJSON(o.streams.Out, map[string]any{"directory": o.dir, "generations": all, "findings": listed(warnings)})
	}
	if err := cli.PrintFindings(o.streams, o.format, warnings); err != nil || o.format.Document() {
		return err
	}
	return o.table(h)
}

func listedGeneration(g bundle.Generation) generation {
	r := generation{Number: g.Number, Written: g.Written.UTC().Truncate(time.Second), InPlace: g.Current, Edited: g.Edited, Changes: append([]bundle.Change{}, g.Changes...)}
	for _, list := range []*[]string{&r.Edited.Edited, &r.Edited.Missing, &r.Edited.Extra} {
		*list = append([]string{}, *list...)
	}
	if m := g.Manifest; m != nil {
		r.Kasgen, r.Topology, r.SpecDigest = m.Kasgen, m.Topology, m.SpecDigest
	}
	if g.Broken != nil {
		r.Broken = g.Broken.Error()
	}
	return r
}

func (o *outcome) table(h *bundle.History) error {
	if len(h.Generations) == 0 {
		_, err := fmt.Fprintf(o.streams.Out, "%s has no generations\n", o.dir)
		return err
	}
	t := tabwriter.NewWriter(o.streams.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "GENERATION\tWRITTEN\tKASGEN\tTOPOLOGY\tSPEC\tCHANGES")
	for i, g := range h.Generations {
		kasgen, topology, digest := "?", "?", "?"
		if m := g.Manifest; m != nil {
			kasgen, topology, digest = m.Kasgen, m.Topology, m.SpecDigest[:min(12, len(m.SpecDigest))]
		}
		number := strconv.Itoa(g.Number)
		if g.Current {
			number += " in place"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", number, g.Written.UTC().Format(time.RFC3339), kasgen, topology, digest, what(g, i == 0))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if !slices.ContainsFunc(h.Generations, func(g bundle.Generation) bool { return g.Current }) {
		_, err := fmt.Fprintf(o.streams.Out, "%s is none of them: it was changed by hand, or is not there\n", o.dir)
		return err
	}
	return nil
}

// what says in one line how a generation differs from the one before it.
func what(g bundle.Generation, oldest bool) string {
	var parts []string
	if oldest {
		parts = append(parts, "the oldest that is kept")
	}
	kinds := map[bundle.ChangeKind][]string{}
	for _, c := range g.Changes {
		if c.Path != lockfile.Name { // which changes with every file
			kinds[c.Kind] = append(kinds[c.Kind], c.Path)
		}
	}
	for _, kind := range []bundle.ChangeKind{bundle.Added, bundle.Changed, bundle.Removed} {
		if len(kinds[kind]) > 0 {
			parts = append(parts, string(kind)+" "+strings.Join(kinds[kind], ", "))
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "only the manifest")
	}
	if !g.Whole() {
		parts = append(parts, "changed by hand")
	}
	return strings.Join(parts, "; ")
}
