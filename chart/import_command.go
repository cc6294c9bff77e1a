package chart

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"kasgen/chart/engine"
	"kasgen/chart/given"
	"kasgen/chart/importer"
	"kasgen/generator/spec"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
)

// Imports are the room's commands below `kasgen import`.
func Imports(streams cli.IO) []*cobra.Command {
	var extras string
	format := cli.Text
	cmd := &cobra.Command{
		Use:   "values FILE...",
		Short: "Describe what values of GitLab's chart say of kas as a kasgen.yaml",
		Long: `Import reads values as they are given to helm with -f, in the same order, and
prints the kasgen.yaml that they come from, with the value that each field is
from. What the description does not say the same of is listed on standard error.
- is standard input, for helm get values RELEASE -o yaml.`,
		Example: `  kasgen import values values.yaml values.kas.yaml > kasgen.yaml
  helm get values -n gitlab gitlab -o yaml | kasgen import values - --extras extras/values.yaml`,
		Args: cobra.MinimumNArgs(1),
	}
	cmd.Flags().StringVar(&extras, "extras", "", "values of the chart beside the release")
	cli.AddFormat(cmd, &format, cli.Text, cli.JSON)
	cmd.RunE = func(_ *cobra.Command, args []string) error { return importValues(streams, format, extras, args) }
	return []*cobra.Command{cmd}
}

// imported is what --format json prints.
type imported struct {
	Spec     string          `json:"kasgenYAML"`
	Lost     []importer.Lost `json:"lost"`
	Findings diag.Findings   `json:"findings"`
}

func importValues(streams cli.IO, format cli.Format, extras string, files []string) error {
	var findings diag.Findings
	read := func(file string) (map[string]any, error) {
		name, data, err := file, []byte(nil), error(nil)
		if file == "-" {
			name = "(standard input)"
			data, err = io.ReadAll(streams.In)
		} else {
			data, err = os.ReadFile(file)
		}
		if err != nil {
			return nil, fmt.Errorf("reading values: %w", err)
		}
		v, found := given.Read(name, data)
		findings = append(findings, found...)
		return v.Tree, nil
	}
	var all, beside map[string]any
	for _, file := range files {
		tree, err := read(file)
		if err != nil {
			return err
		}
		all = engine.Merge(all, tree)
	}
	if extras != "" {
		var err error
		if beside, err = read(extras); err != nil {
			return err
		}
	}
	if findings.Failed() {
		return cli.Report(streams, cli.Text, findings, cli.Looked(files...)...)
	}
	text, lost, err := importer.Describe(all, beside)
	if err != nil {
		return err
	}
	// What was read may be a combination that kasgen refuses: that is told, and
	// the description is of use all the same.
	_, told := spec.ReadFor(defaults, "kasgen.yaml", text, nil)
	if format == cli.JSON {
		return cli.PrintJSON(streams.Out, imported{string(text), append([]importer.Lost{}, lost...), append(diag.Findings{}, told...)})
	}
	if _, err := streams.Out.Write(text); err != nil {
		return err
	}
	for _, l := range lost {
		fmt.Fprintf(streams.Err, "not kept: %s: %s\n  fix: %s\n", l.Key, l.Why, l.Fix)
	}
	return told.WriteText(streams.Err)
}
