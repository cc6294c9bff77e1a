package generator

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"kasgen/generator/bundle"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
)

// Commands are the commands of this room.
func Commands(streams cli.IO) []*cobra.Command {
	return []*cobra.Command{renderCommand(streams), validateCommand(streams)}
}

// rendering is one run of `kasgen render`.
type rendering struct {
	streams            cli.IO
	format             cli.Format
	spec               string // its name in findings
	dir                string
	check, diff, force bool
}

func renderCommand(streams cli.IO) *cobra.Command {
	r := &rendering{streams: streams}
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
	cli.AddFormat(cmd, &r.format)
	cmd.Flags().StringVarP(&r.dir, "output", "o", "", "directory to write (default: standard output)")
	cmd.Flags().BoolVar(&r.check, "check", false, "write nothing; exit 2 if the directory differs")
	cmd.Flags().BoolVar(&r.diff, "diff", false, "write nothing; print how the directory differs, and exit 2 if it does")
	cmd.Flags().BoolVar(&r.force, "force", false, "replace files that were changed by hand")
	cmd.RunE = func(*cobra.Command, []string) error {
		switch {
		case (r.check || r.diff) && r.dir == "":
			return cli.Usage("--check and --diff compare with a directory: name it with -o")
		case r.force && (r.check || r.diff || r.dir == ""):
			return cli.Usage("--force is for writing a directory with -o")
		}
		r.spec = from.Name()
		s, findings, err := from.Read(streams.In)
		if err != nil {
			return err
		}
		if s == nil {
			return r.fail(findings)
		}
		b, err := Render(s)
		if err != nil {
			return err
		}
		return r.run(b, findings)
	}
	return cmd
}

// fail prints the findings that ended the run.
func (r *rendering) fail(findings diag.Findings) error {
	if err := cli.PrintFindings(r.streams, r.format, findings, cli.Looked(r.spec)...); err != nil {
		return err
	}
	return cli.Exit{Code: cli.Failure}
}

func (r *rendering) run(b *bundle.Bundle, warnings diag.Findings) error {
	switch {
	case r.dir == "":
		return r.stream(b, warnings)
	case r.check || r.diff:
		return r.compare(b, warnings)
	default:
		return r.write(b, warnings)
	}
}

// stream prints the bundle itself.
func (r *rendering) stream(b *bundle.Bundle, warnings diag.Findings) error {
	if r.format == cli.JSON {
		return cli.PrintJSON(r.streams.Out, streamed(b, warnings))
	}
	if err := cli.PrintFindings(r.streams, r.format, warnings, cli.Looked(r.spec)...); err != nil || r.format.Document() {
		return err
	}
	_, err := r.streams.Out.Write(b.Txtar())
	return err
}

// compare says how the directory differs, and writes nothing.
func (r *rendering) compare(b *bundle.Bundle, warnings diag.Findings) error {
	c, err := b.Compare(r.dir)
	if err != nil {
		return err
	}
	// What people did is worth a word here and no failure: the exit code
	// already says that there is a difference.
	for _, f := range c.Guard(r.dir) {
		f.Severity = diag.Warning
		warnings.Add(f)
	}
	if err := r.report(c, warnings, r.diff); err != nil {
		return err
	}
	if !c.Same() {
		return cli.Exit{Code: cli.Differences}
	}
	return nil
}

func (r *rendering) write(b *bundle.Bundle, warnings diag.Findings) error {
	c, err := b.Write(r.dir, r.force)
	if found, ok := errors.AsType[diag.Findings](err); ok {
		return r.fail(append(warnings, found...))
	}
	if err != nil {
		return err
	}
	return r.report(c, warnings, false)
}

// report prints a comparison.
func (r *rendering) report(c *bundle.Comparison, warnings diag.Findings, diff bool) error {
	if r.format == cli.JSON {
		return cli.PrintJSON(r.streams.Out, compared(r.dir, c, warnings, diff))
	}
	if err := cli.PrintFindings(r.streams, r.format, warnings, r.subjects(c)...); err != nil || r.format.Document() {
		return err
	}
	if diff {
		_, err := r.streams.Out.Write(c.Diff())
		return err
	}
	if len(c.Changes) == 0 && c.Same() {
		_, err := fmt.Fprintf(r.streams.Out, "%s is up to date\n", r.dir)
		return err
	}
	for _, change := range c.Changes {
		if _, err := fmt.Fprintf(r.streams.Out, "%-7s %s\n", change.Kind, change.Path); err != nil {
			return err
		}
	}
	return nil
}
