package generator

import (
	"github.com/spf13/cobra"

	"kasgen/generator/bundle"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
)

// Commands are the commands of this room, which can render for targets, too.
func Commands(streams cli.IO, targets ...Target) []*cobra.Command {
	return []*cobra.Command{renderCommand(streams, targets), validateCommand(streams, targets), diffCommand(streams, targets), rollbackCommand(streams), schemaCommand(streams)}
}

// rendering is one run of `kasgen render`.
type rendering struct {
	outcome
	check, force bool
}

func renderCommand(streams cli.IO, targets []Target) *cobra.Command {
	r := &rendering{outcome: outcome{streams: streams}}
	cmd := &cobra.Command{
		Use:   "render",
		Short: "Write every file of a topology",
		Long: `Write every file of a topology.

Without -f a default for one machine and kas.example.com is rendered. Without
-o the files go to standard output as one txtar stream. With -o the directory
becomes the bundle, whole or not at all.`,
		Example: `  kasgen render --topology=A
  kasgen render -f kasgen.yaml -o /etc/kasgen/bundle
  kasgen render -f kasgen.yaml -o /etc/kasgen/bundle --check --diff`,
		Args: cobra.NoArgs,
	}
	from := AddSource(cmd)
	from.AddTargets(cmd, targets)
	cli.AddFormat(cmd, &r.format)
	cmd.Flags().StringVarP(&r.dir, "output", "o", "", "directory to write (default: standard output)")
	cmd.Flags().BoolVar(&r.check, "check", false, "write nothing; exit 2 if the directory differs")
	cmd.Flags().BoolVar(&r.diff, "diff", false, "write nothing; print how the directory differs and what it costs, and exit 2 if it does")
	cmd.Flags().BoolVar(&r.force, "force", false, "replace files that were changed by hand")
	cmd.RunE = func(*cobra.Command, []string) error {
		switch {
		case (r.check || r.diff) && r.dir == "":
			return cli.Usage("--check and --diff compare with a directory: name it with -o")
		case r.force && (r.check || r.diff || r.dir == ""):
			return cli.Usage("--force is for writing a directory with -o")
		}
		r.compare = r.check || r.diff
		b, warnings, err := r.render(from)
		if err != nil {
			return err
		}
		return r.run(b, warnings)
	}
	return cmd
}

// render is the bundle of the spec, with the spec's warnings; its faults are
// printed and end the run.
func (o *outcome) render(from *Source) (*bundle.Bundle, diag.Findings, error) {
	o.spec = from.Name()
	s, findings, err := from.Read(o.streams.In)
	if err != nil {
		return nil, nil, err
	}
	if s == nil {
		return nil, nil, o.fail(findings, from.Code(findings))
	}
	b, more, err := from.Render(s)
	if err != nil {
		return nil, nil, err
	}
	if findings = append(findings, more...); b == nil {
		return nil, nil, o.fail(findings, cli.Failure)
	}
	return b, findings, nil
}

func (r *rendering) run(b *bundle.Bundle, warnings diag.Findings) error {
	switch {
	case r.dir == "":
		return r.stream(b, warnings)
	case r.compare:
		c, err := b.Compare(r.dir)
		if err != nil {
			return err
		}
		return r.differ(c, warnings)
	default:
		c, err := b.Write(r.dir, r.force)
		if err != nil {
			return r.end(err, warnings)
		}
		return r.report(c, warnings)
	}
}

// stream prints the bundle itself.
func (r *rendering) stream(b *bundle.Bundle, warnings diag.Findings) error {
	if r.format == cli.JSON {
		return cli.PrintJSON(r.streams.Out, streamed(b, warnings))
	}
	if err := cli.PrintFindings(r.streams, r.format, warnings, r.looked()...); err != nil || r.format.Document() {
		return err
	}
	_, err := r.streams.Out.Write(b.Txtar())
	return err
}
