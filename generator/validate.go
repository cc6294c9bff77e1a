package generator

import (
	"fmt"

	"github.com/spf13/cobra"

	"kasgen/internal/cli"
)

// validateCommand is `kasgen validate`: the whole way of render without its
// end.
func validateCommand(streams cli.IO, targets []Target) *cobra.Command {
	var format cli.Format
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check a kasgen.yaml and report every fault",
		Args:  cobra.NoArgs,
	}
	from := AddSource(cmd)
	from.AddTargets(cmd, targets)
	cli.AddFormat(cmd, &format)
	cmd.RunE = func(*cobra.Command, []string) error {
		s, findings, err := from.Read(streams.In)
		if err != nil {
			return err
		}
		code := cli.Failure
		if s == nil {
			code = from.Code(findings)
		} else {
			_, more, err := from.Render(s)
			if err != nil {
				return err
			}
			findings = append(findings, more...)
		}
		if err := cli.PrintFindings(streams, format, findings, cli.Looked(from.Name())...); err != nil {
			return err
		}
		if findings.Failed() {
			return cli.Exit{Code: code}
		}
		if format == cli.Text {
			_, err = fmt.Fprintln(streams.Out, "valid")
		}
		return err
	}
	return cmd
}
