package generator

import (
	"fmt"

	"github.com/spf13/cobra"

	"kasgen/internal/cli"
)

// validateCommand is `kasgen validate`: the whole way of render without its
// end.
func validateCommand(streams cli.IO) *cobra.Command {
	var format cli.Format
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check a kasgen.yaml and report every fault",
		Args:  cobra.NoArgs,
	}
	from := AddSource(cmd)
	cli.AddFormat(cmd, &format)
	cmd.RunE = func(*cobra.Command, []string) error {
		s, findings, err := from.Read(streams.In)
		if err != nil {
			return err
		}
		if err := cli.PrintFindings(streams, format, findings, cli.Looked(from.Name())...); err != nil {
			return err
		}
		if s == nil {
			return cli.Exit{Code: from.Code(findings)}
		}
		if _, err := Render(s); err != nil {
			return err
		}
		if format == cli.Text {
			_, err = fmt.Fprintln(streams.Out, "valid")
		}
		return err
	}
	return cmd
}
