package cli

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kasgen/internal/diag"
)

// Format is how a command prints its result.
type Format string

// The formats. JUnit and SARIF are for findings: of a command that also has
// another result they print the findings alone.
const (
	Text  Format = "text"
	JSON  Format = "json"
	JUnit Format = "junit"
	SARIF Format = "sarif"
)

// Document says whether a format prints findings as one document, to where a
// program reads them.
func (f Format) Document() bool { return f != Text && f != "" }

// formatFlag is a --format flag.
type formatFlag struct {
	format  *Format
	allowed []string
}

// Set reads the flag.
func (f formatFlag) Set(s string) error {
	if !slices.Contains(f.allowed, s) {
		last := len(f.allowed) - 1
		return Usage("it is %s or %s", strings.Join(f.allowed[:last], ", "), f.allowed[last])
	}
	*f.format = Format(s)
	return nil
}

func (f formatFlag) String() string {
	if f.format == nil {
		return ""
	}
	return string(*f.format)
}

// Type names the flag's value in help texts.
func (f formatFlag) Type() string { return strings.Join(f.allowed, "|") }

// AddFormat gives cmd a --format flag with the given formats, or all of them
// where none is given.
func AddFormat(cmd *cobra.Command, f *Format, allowed ...Format) {
	*f = Text
	if len(allowed) == 0 {
		allowed = []Format{Text, JSON, JUnit, SARIF}
	}
	flag := formatFlag{format: f}
	for _, a := range allowed {
		flag.allowed = append(flag.allowed, string(a))
	}
	cmd.Flags().Var(flag, "format", "how results are printed")
	Complete(cmd, "format", func() []string { return flag.allowed })
}

// PrintFindings prints findings: as text to Err, since they are not the
// result of a command that also has one, or as a document to Out, where a
// program expects one. Subjects are what was looked at and has no finding, or
// was not looked at.
func PrintFindings(io IO, f Format, findings diag.Findings, subjects ...diag.Subject) error {
	r := diag.Report{Command: "kasgen", Subjects: subjects, Findings: findings}
	switch f {
	case JSON:
		return r.WriteJSON(io.Out)
	case JUnit:
		return r.WriteJUnit(io.Out)
	case SARIF:
		return r.WriteSARIF(io.Out, tool())
	default:
		return r.WriteText(io.Err)
	}
}

// PrintJSON prints v as an indented document.
func PrintJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// Report prints err where it is findings, and returns what the command then
// ends with: a failure of which all has been said, or err itself as a failure.
func Report(io IO, f Format, err error, subjects ...diag.Subject) error {
	var findings diag.Findings
	if !errors.As(err, &findings) {
		return Exit{Code: Failure, Err: err}
	}
	if err := PrintFindings(io, f, findings, subjects...); err != nil {
		return err
	}
	return Exit{Code: Failure}
}

// Looked are subjects that were looked at.
func Looked(names ...string) []diag.Subject {
	list := make([]diag.Subject, len(names))
	for i, name := range names {
		list[i].Name = name
	}
	return list
}
