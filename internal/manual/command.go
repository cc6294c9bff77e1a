// Package manual owns what kasgen says about itself: `kasgen explain`, and the
// man pages. It knows no other command than by its tree. Its law: what it says
// comes from where it is used, a flag's text from the flag and a code's from
// docs/findings.md, and is the same each time.
package manual

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"kasgen/internal/cli"
	"kasgen/internal/explain"
)

// Commands are the commands of this package.
func Commands(streams cli.IO) []*cobra.Command {
	return []*cobra.Command{explainCommand(streams), manCommand(streams)}
}

func explainCommand(streams cli.IO) *cobra.Command {
	var format cli.Format
	cmd := &cobra.Command{
		Use:   "explain [CODE]...",
		Short: "Say what a finding's code means, why it matters and what to do",
		Long: `Explain prints what is known about a finding's code, without a network. Without
a code it lists all of them.`,
		Example: `  kasgen explain KAS1203
  kasgen explain | grep -i redis`,
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return list(streams, format)
			}
			return entries(streams, format, args)
		},
	}
	cli.AddFormat(cmd, &format, cli.Text, cli.JSON)
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return cli.Beginning(described(args), begun), cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

// described are the codes that were not given yet, with their titles.
func described(given []string) []string {
	var codes []string
	for _, e := range explain.All() {
		if !strings.Contains(strings.ToUpper(strings.Join(given, " ")), e.Code) {
			codes = append(codes, e.Code+"\t"+e.Title)
		}
	}
	return codes
}

// list prints every code with its title.
func list(streams cli.IO, format cli.Format) error {
	all := explain.All()
	if format == cli.JSON {
		return cli.PrintJSON(streams.Out, all)
	}
	about := ""
	for _, e := range all {
		if e.About != about {
			if about != "" {
				fmt.Fprintln(streams.Out)
			}
			about = e.About
			fmt.Fprintln(streams.Out, about)
		}
		if _, err := fmt.Fprintf(streams.Out, "  %s  %s\n", e.Code, e.Title); err != nil {
			return err
		}
	}
	return nil
}

// entries prints what is written about the codes, or nothing where one of them
// does not exist.
func entries(streams cli.IO, format cli.Format, codes []string) error {
	var found []explain.Entry
	var unknown []string
	for _, code := range codes {
		e, ok := explain.Lookup(code)
		if ok {
			found = append(found, e)
			continue
		}
		fix := "`kasgen explain` lists all of them"
		if near := explain.Nearest(code); near != "" {
			fix = "did you mean " + near + "?"
		}
		unknown = append(unknown, fmt.Sprintf("there is no code %q: %s", code, fix))
	}
	if len(unknown) > 0 {
		return cli.Usage("%s", strings.Join(unknown, "\n"))
	}
	if format == cli.JSON {
		return cli.PrintJSON(streams.Out, found)
	}
	for i, e := range found {
		if i > 0 {
			fmt.Fprintln(streams.Out)
		}
		if err := e.WriteText(streams.Out); err != nil {
			return err
		}
	}
	return nil
}
