package chart

import (
	"github.com/spf13/cobra"

	"kasgen/generator"
	"kasgen/internal/cli"
)

// Commands are the room's.
func Commands(streams cli.IO) []*cobra.Command {
	cmd := &cobra.Command{
		Use: "chart", Short: "Values for GitLab's Helm chart, what stands beside it, and the proof of both", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(valuesCommand(streams), extrasCommand(streams), verifyCommand(streams), diffCommand(streams))
	return []*cobra.Command{cmd}
}

// valuesCommand is `kasgen chart values`.
func valuesCommand(streams cli.IO) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "values",
		Short: "Print the values that make GitLab's chart a topology",
		Long: `Values prints a file for helm's -f: only keys that this version of GitLab's
chart has, each with its reason. What the chart has no object for, a TCP
balancer, the edge or a second name, is told as a warning.`,
		Example: `  kasgen chart values --topology=packaged --chart-version 9.9 > values.kas.yaml
  helm upgrade gitlab gitlab/gitlab -f values.yaml -f values.kas.yaml`,
		Args: cobra.NoArgs,
	}
	from := generator.AddSource(cmd)
	from.For(cmd, Target())
	cmd.RunE = func(*cobra.Command, []string) error {
		s, findings, err := from.Read(streams.In)
		if err != nil {
			return err
		}
		if s == nil {
			return cli.Report(streams, cli.Text, findings, cli.Looked(from.Name())...)
		}
		b, more, err := from.Render(s)
		if err != nil {
			return err
		}
		if findings = append(findings, more...); findings.Failed() {
			return cli.Report(streams, cli.Text, findings, cli.Looked(from.Name())...)
		}
		if err := findings.WriteText(streams.Err); err != nil {
			return err
		}
		for _, f := range b.All() {
			if f.Path == ValuesPath {
				_, err = streams.Out.Write(f.Data)
			}
		}
		return err
	}
	return cmd
}
