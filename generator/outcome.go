package generator

import (
	"errors"
	"fmt"
	"path/filepath"

	"kasgen/generator/bundle"
	"kasgen/generator/cost"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
)

// outcome prints what came of comparing a directory or writing it.
type outcome struct {
	streams cli.IO
	format  cli.Format
	spec    string // its name in findings; empty where there is none
	dir     string
	compare bool // nothing is written: what differs is a failure
	diff    bool // what differs is printed, and what it costs
}

// end prints the findings of err, where it is findings, and what was found
// before it.
func (o *outcome) end(err error, before diag.Findings) error {
	found, ok := errors.AsType[diag.Findings](err)
	if !ok {
		return err
	}
	return o.fail(append(before, found...), cli.Failure)
}

// fail prints the findings that end the run.
func (o *outcome) fail(findings diag.Findings, code int) error {
	if err := cli.PrintFindings(o.streams, o.format, findings, o.looked()...); err != nil {
		return err
	}
	return cli.Exit{Code: code}
}

func (o *outcome) looked() []diag.Subject {
	if o.spec == "" {
		return nil
	}
	return cli.Looked(o.spec)
}

// differ prints how the directory differs from what it would become.
func (o *outcome) differ(c *bundle.Comparison, warnings diag.Findings) error {
	// What people did is worth a word here and no failure: the exit code
	// already says that there is a difference.
	for _, f := range c.Guard(o.dir) {
		f.Severity = diag.Warning
		warnings.Add(f)
	}
	if err := o.report(c, warnings); err != nil {
		return err
	}
	if !c.Same() {
		return cli.Exit{Code: cli.Differences}
	}
	return nil
}

// report prints a comparison.
func (o *outcome) report(c *bundle.Comparison, warnings diag.Findings) error {
	warnings = append(warnings, c.Warnings...)
	if o.format == cli.JSON {
		return cli.PrintJSON(o.streams.Out, o.document(c, warnings))
	}
	if err := cli.PrintFindings(o.streams, o.format, warnings, o.subjects(c)...); err != nil || o.format.Document() {
		return err
	}
	if c.Same() && len(c.Changes) == 0 {
		_, err := fmt.Fprintf(o.streams.Out, "%s is up to date\n", o.dir)
		return err
	}
	if o.diff {
		return o.difference(c)
	}
	for _, change := range c.Changes {
		if _, err := fmt.Fprintf(o.streams.Out, "%-7s %s\n", change.Kind, change.Path); err != nil {
			return err
		}
	}
	return nil
}

// difference prints how the files differ, and what that costs.
func (o *outcome) difference(c *bundle.Comparison) error {
	if _, err := o.streams.Out.Write(c.Diff()); err != nil {
		return err
	}
	if len(c.Changes) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(o.streams.Out); err != nil {
		return err
	}
	return cost.Of(c.Before(), c.After()).WriteText(o.streams.Out)
}

// comparison is what `--format=json` prints of one.
type comparison struct {
	Directory  string          `json:"directory"`
	Same       bool            `json:"same"` // before anything was written
	Changes    []bundle.Change `json:"changes"`
	From       int             `json:"from,omitempty"`       // the generation that a rollback goes back to
	Generation int             `json:"generation,omitempty"` // that was written
	Diff       string          `json:"diff,omitempty"`
	Cost       *cost.Report    `json:"cost,omitempty"`
	Findings   diag.Findings   `json:"findings"`
}

func (o *outcome) document(c *bundle.Comparison, warnings diag.Findings) comparison {
	r := comparison{Directory: o.dir, Same: c.Same(), Changes: append([]bundle.Change{}, c.Changes...),
		From: c.From, Generation: c.Generation, Findings: listed(warnings)}
	if o.diff {
		r.Diff, r.Cost = string(c.Diff()), cost.Of(c.Before(), c.After())
	}
	return r
}

// subjects are the spec and, where nothing is written, each file that is not
// as it would be: a failure of the comparison, and no finding.
func (o *outcome) subjects(c *bundle.Comparison) []diag.Subject {
	list := o.looked()
	if !o.compare {
		return list
	}
	if c.Same() {
		return append(list, diag.Subject{Name: o.dir})
	}
	for _, change := range c.Changes {
		text := map[bundle.ChangeKind]string{
			bundle.Added: "the file would be added", bundle.Changed: "the file would be changed", bundle.Removed: "the file would be removed",
		}[change.Kind]
		list = append(list, diag.Subject{
			Name:    filepath.Join(o.dir, filepath.FromSlash(change.Path)),
			Failure: &diag.Failure{Kind: "difference", Text: text},
		})
	}
	return list
}
