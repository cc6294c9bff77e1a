package scenarios

import (
	"context"
	"embed"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kasgen/internal/cli"
	"kasgen/internal/diag"
	"kasgen/scenarios/lab/cloud"
	"kasgen/scenarios/scenario"
)

// matrix is what each topology carries, one file a line of the table.
//
//go:embed matrix
var matrix embed.FS

func scenarioCommand(streams cli.IO) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scenario",
		Short: "Try what each topology carries behind each kind of balancer",
		Long: `A scenario is a topology, who stands in front of it, and what must come of each
kind of traffic. Running one renders the topology, runs it with everything
around it, and sees.

Balancers of clouds are models: small proxies that do what their vendors
document. Wherever one has a part, the output names it.`,
	}
	cmd.AddCommand(listCommand(streams), runScenarioCommand(streams), matrixCommand(streams))
	return cmd
}

func listCommand(streams cli.IO) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Print every scenario", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			all, err := scenario.Read(matrix, "matrix")
			if err != nil {
				return cli.Report(streams, cli.Text, err)
			}
			for _, s := range all {
				if _, err := fmt.Fprintf(streams.Out, "%s: %s\n", s.Name, s.Title); err != nil {
					return err
				}
				for line := range strings.Lines(s.Text) {
					if _, err := fmt.Fprint(streams.Out, "  ", strings.TrimRight(line, "\n"), "\n"); err != nil {
						return err
					}
				}
				for _, name := range s.Models() {
					if m, ok := cloud.Find(name); ok {
						if err := describe(streams, m); err != nil {
							return err
						}
					}
				}
			}
			return nil
		},
	}
}

func runScenarioCommand(streams cli.IO) *cobra.Command {
	o := scenarioOptions{format: cli.Text}
	cmd := &cobra.Command{
		Use: "run [NAME…]", Short: "Run scenarios, all of them without a name",
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return scenarioNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runScenarios(cmd.Context(), streams, o, args) },
	}
	o.flags(cmd)
	return cmd
}

func matrixCommand(streams cli.IO) *cobra.Command {
	o := scenarioOptions{format: cli.Text}
	cmd := &cobra.Command{
		Use: "matrix", Short: "Run every scenario and print what each topology carries", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runScenarios(cmd.Context(), streams, o, nil) },
	}
	o.flags(cmd)
	return cmd
}

type scenarioOptions struct {
	format cli.Format
	debug  bool
}

func (o *scenarioOptions) flags(cmd *cobra.Command) {
	cli.AddFormat(cmd, &o.format, cli.Text, cli.JSON)
	cmd.Flags().BoolVar(&o.debug, "debug", false, "print what the parts log")
}

func scenarioNames() []string {
	all, err := scenario.Read(matrix, "matrix")
	if err != nil {
		return nil
	}
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
	}
	return names
}

// scenarioResult is what --format json prints.
type scenarioResult struct {
	Cells []scenario.Cell `json:"cells"`
}

func runScenarios(ctx context.Context, streams cli.IO, o scenarioOptions, names []string) error {
	all, err := scenario.Read(matrix, "matrix")
	if err != nil {
		return cli.Report(streams, o.format, err)
	}
	for _, n := range names {
		if !slices.ContainsFunc(all, func(s scenario.Scenario) bool { return s.Name == n }) {
			hint := ""
			if near := diag.Nearest(n, scenarioNames()); near != "" {
				hint = "; did you mean " + near + "?"
			}
			return cli.Usage("there is no scenario %s%s", n, hint)
		}
	}
	log := slog.New(slog.DiscardHandler)
	if o.debug {
		log = slog.New(slog.NewTextHandler(streams.Err, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	quiet(log, o.debug)
	var cells []scenario.Cell
	for _, s := range all {
		if len(names) > 0 && !slices.Contains(names, s.Name) {
			continue
		}
		fmt.Fprintln(streams.Err, s.Title)
		got, err := scenario.Run(ctx, s, cli.Version, log)
		if err != nil {
			return err
		}
		cells = append(cells, got...)
	}
	if o.format == cli.JSON {
		err = cli.PrintJSON(streams.Out, scenarioResult{cells})
	} else {
		err = scenario.WriteTable(streams.Out, cells)
	}
	if err != nil {
		return err
	}
	if err := scenario.Judge(cells); err != nil {
		return cli.Exit{Code: cli.Failure, Err: err}
	}
	return nil
}
