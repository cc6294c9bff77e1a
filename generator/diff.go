package generator

import (
	"github.com/spf13/cobra"

	"kasgen/generator/bundle"
	"kasgen/internal/cli"
)

// diffCommand is `kasgen diff`: what a render would change, or how two
// directories differ, and what that costs.
func diffCommand(streams cli.IO, targets []Target) *cobra.Command {
	o := &outcome{streams: streams, compare: true, diff: true}
	cmd := &cobra.Command{
		Use:   "diff DIR [DIR]",
		Short: "Print how a directory differs, and what the change costs",
		Long: `Print how a directory differs from what would be rendered, or from another
directory, and what the change costs: which programs are reloaded or restarted,
which listeners, names and certificates come and go, which agents reconnect and
which streams are cut, with the real nginx, HAProxy and kas. Embedded in kasgen
run they take changes in on SIGHUP, and cut nothing.

The exit code is 2 if there are differences. Nothing is written.`,
		Example: `  kasgen diff -f kasgen.yaml /etc/kasgen/bundle
  kasgen diff /etc/kasgen/.bundle.generations/000011 /etc/kasgen/bundle`,
		Args: cobra.RangeArgs(1, 2),
	}
	from := AddSource(cmd)
	from.AddTargets(cmd, targets)
	cli.AddFormat(cmd, &o.format)
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		o.dir = args[0]
		if len(args) == 2 {
			if from.chosen() {
				return cli.Usage("two directories are compared with each other, not with a kasgen.yaml")
			}
			c, err := bundle.CompareDirectories(args[0], args[1])
			if err != nil {
				return err
			}
			return o.differ(c, nil)
		}
		b, warnings, err := o.render(from)
		if err != nil {
			return err
		}
		c, err := b.Compare(o.dir)
		if err != nil {
			return err
		}
		return o.differ(c, warnings)
	}
	return cmd
}
