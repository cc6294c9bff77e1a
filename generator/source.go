package generator

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kasgen/generator/spec"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
)

// Source is where a command's spec comes from.
type Source struct {
	// More are values that hold over the file's and everybody else's.
	More []spec.Override

	file   string
	values *cli.Values
	target choice
	at     Places
}

// AddSource gives cmd the flags that choose and override a spec.
func AddSource(cmd *cobra.Command) *Source { return AddSourceAs(cmd, "file", "f") }

// AddSourceAs is AddSource for a command whose -f is something else's.
func AddSourceAs(cmd *cobra.Command, flag, short string) *Source {
	s := &Source{}
	cmd.Flags().StringVarP(&s.file, flag, short, "", "kasgen.yaml to read, - for standard input (default: one machine, kas.example.com)")
	cli.CompleteFile(cmd, flag, "yaml", "yml")
	var list []cli.Override
	for _, scalar := range spec.Scalars() {
		list = append(list, cli.Override{Flag: scalar.Flag, Field: scalar.Field, Usage: scalar.Usage})
	}
	s.values = cli.AddOverrides(cmd, list)
	for _, scalar := range spec.Scalars() {
		cli.Complete(cmd, scalar.Flag, scalar.Values)
	}
	return s
}

// Name is the spec's name in findings.
func (s *Source) Name() string {
	switch s.file {
	case "":
		return "(default)"
	case "-":
		return "(standard input)"
	default:
		return s.file
	}
}

// Given says whether the caller named a file or gave a value.
func (s *Source) Given() bool { return s.file != "" || len(s.values.Given()) > 0 }

// Read gives the spec, or nil with findings.
func (s *Source) Read(in io.Reader) (*spec.Spec, diag.Findings, error) {
	if err := s.values.CheckVariables(os.Environ()); err != nil {
		return nil, nil, err
	}
	target, err := s.target.chosen()
	if err != nil {
		return nil, nil, err
	}
	data := []byte(spec.Example)
	var defaults spec.Defaults
	if target != nil && target.Example != "" {
		data = []byte(target.Example)
	}
	if target != nil {
		defaults = target.Defaults
	}
	switch s.file {
	case "":
	case "-":
		data, err = io.ReadAll(in)
	default:
		data, err = os.ReadFile(s.file)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading the spec: %w", err)
	}
	var overrides []spec.Override
	for _, v := range s.values.Given() {
		overrides = append(overrides, spec.Override{Field: v.Field, Text: v.Text, Source: v.Source})
	}
	overrides = append(overrides, s.More...)
	read, findings := spec.ReadFor(defaults, s.Name(), data, overrides)
	s.at = spec.Places(s.Name(), data, overrides)
	return read, findings, nil
}

// chosen says whether a flag chose or changed the spec.
func (s *Source) chosen() bool {
	return s.file != "" || slices.ContainsFunc(s.values.Given(), func(v cli.Value) bool { return strings.HasPrefix(v.Source, "--") })
}

// Code is the exit code of a run that ended with findings: a wrong value of a
// flag or a variable is wrong usage, as an unknown one is.
func (s *Source) Code(findings diag.Findings) int {
	for _, f := range findings {
		if f.Severity == diag.Error && slices.ContainsFunc(s.values.Given(), func(v cli.Value) bool { return v.Source == f.File }) {
			return cli.Misuse
		}
	}
	return cli.Failure
}
