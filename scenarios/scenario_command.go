package scenarios

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kasgen/internal/cli"
	"kasgen/internal/diag"
	"kasgen/runtime"
	"kasgen/scenarios/lab/cloud"
	"kasgen/scenarios/rollout"
	"kasgen/scenarios/scenario"
)

// matrix is what each topology carries, one file a line of the table.
//
//go:embed matrix
var matrix embed.FS

// rollouts are ways from one topology to another, one file each.
//
//go:embed rollouts
var rollouts embed.FS

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
			all, ways, err := readScenarios()
			if err != nil {
				return cli.Report(streams, cli.Text, err)
			}
			for _, s := range all {
				if _, err := fmt.Fprintf(streams.Out, "%s: %s\n", s.Name, s.Marked()); err != nil {
					return err
				}
				if err := indent(streams.Out, s.Text); err != nil {
					return err
				}
				for _, name := range s.Models() {
					if m, ok := cloud.Find(name); ok {
						if err := describe(streams, m); err != nil {
							return err
						}
					}
				}
			}
			for _, r := range ways {
				if _, err := fmt.Fprintf(streams.Out, "%s: %s, in %d steps\n", r.Name, r.Title, len(r.Steps)); err != nil {
					return err
				}
				if err := indent(streams.Out, r.Text); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// readScenarios reads the lines of the matrix and the rollouts.
func readScenarios() ([]scenario.Scenario, []rollout.Rollout, error) {
	all, err := scenario.Read(matrix, "matrix")
	if err != nil {
		return nil, nil, err
	}
	ways, err := rollout.Read(rollouts, "rollouts")
	return all, ways, err
}

func indent(w io.Writer, text string) error {
	for line := range strings.Lines(text) {
		if _, err := fmt.Fprint(w, "  ", strings.TrimRight(line, "\n"), "\n"); err != nil {
			return err
		}
	}
	return nil
}

func runScenarioCommand(streams cli.IO) *cobra.Command {
	o := scenarioOptions{format: cli.Text}
	cmd := &cobra.Command{
		Use: "run [NAME…]", Short: "Run scenarios and rollouts, all of them without a name",
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
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.matrix = true
			return runScenarios(cmd.Context(), streams, o, nil)
		},
	}
	o.flags(cmd)
	return cmd
}

type scenarioOptions struct {
	format cli.Format
	debug  bool
	matrix bool // the lines of the matrix alone
	front  string
}

func (o *scenarioOptions) flags(cmd *cobra.Command) {
	cli.AddFormat(cmd, &o.format, cli.Text, cli.JSON)
	cmd.Flags().BoolVar(&o.debug, "debug", false, "print what the parts log")
	addFront(cmd, &o.front)
}

func scenarioNames() []string {
	all, ways, err := readScenarios()
	if err != nil {
		return nil
	}
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
	}
	for _, r := range ways {
		names = append(names, r.Name)
	}
	return names
}

// scenarioResult is what --format json prints.
type scenarioResult struct {
	Cells  []scenario.Cell    `json:"cells"`
	Checks []scenario.Checked `json:"checks"`
	Steps  []rollout.Result   `json:"steps"`
}

func runScenarios(ctx context.Context, streams cli.IO, o scenarioOptions, names []string) error {
	if err := checkFront(o.front); err != nil {
		return err
	}
	all, ways, err := readScenarios()
	if err != nil {
		return cli.Report(streams, o.format, err)
	}
	for _, n := range names {
		if !slices.Contains(scenarioNames(), n) {
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
	wanted := func(name string) bool { return len(names) == 0 || slices.Contains(names, name) }
	result := scenarioResult{Cells: []scenario.Cell{}, Checks: []scenario.Checked{}, Steps: []rollout.Result{}}
	for _, s := range all {
		if !wanted(s.Name) {
			continue
		}
		fmt.Fprintln(streams.Err, s.Marked())
		got, err := scenario.Run(ctx, s, scenario.Options{Version: cli.Version, Log: log, Front: runtime.Programs(o.front)})
		if err != nil {
			return err
		}
		result.Cells, result.Checks = append(result.Cells, got.Cells...), append(result.Checks, got.Checks...)
	}
	for _, r := range ways {
		if o.matrix || !wanted(r.Name) {
			continue
		}
		got, err := rollout.Run(ctx, r, rollout.Options{Version: cli.Version, Log: log, Native: runtime.Programs(o.front) == runtime.Native,
			Tell: func(step rollout.Result) { fmt.Fprintf(streams.Err, "%s: %s\n", step.Title, step.Step) }})
		if err != nil {
			return err
		}
		result.Steps = append(result.Steps, got...)
	}
	return result.print(streams, o.format)
}

// print prints the result and judges it.
func (r scenarioResult) print(streams cli.IO, format cli.Format) error {
	var err error
	if format == cli.JSON {
		err = cli.PrintJSON(streams.Out, r)
	} else {
		if len(r.Cells) > 0 {
			err = scenario.WriteTable(streams.Out, r.Cells, r.Checks)
		}
		if err == nil && len(r.Steps) > 0 {
			err = rollout.WriteTable(streams.Out, r.Steps)
		}
	}
	if err != nil {
		return err
	}
	if len(r.Cells) > 0 || len(r.Steps) == 0 {
		err = scenario.Judge(r.Cells, r.Checks)
	}
	if err = errors.Join(err, rollout.Judge(r.Steps)); err != nil {
		return cli.Exit{Code: cli.Failure, Err: err}
	}
	return nil
}
