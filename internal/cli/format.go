package cli

import (
	"encoding/json"
	"errors"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"kasgen/internal/diag"
)

// Format is how a command prints its result.
type Format string

// The formats.
const (
	Text Format = "text"
	JSON Format = "json"
)

// Set reads a --format flag.
func (f *Format) Set(s string) error {
	formats := []Format{Text, JSON}
	if !slices.Contains(formats, Format(s)) {
		return Usage("it is text or json")
	}
	*f = Format(s)
	return nil
}

func (f *Format) String() string { return string(*f) }

// Type names the flag's value in help texts.
func (f *Format) Type() string { return "text|json" }

// AddFormat gives cmd a --format flag.
func AddFormat(cmd *cobra.Command, f *Format) {
	*f = Text
	cmd.Flags().Var(f, "format", "how results are printed")
}

// PrintFindings prints findings: as text to Err, since they are not the
// result of a command that also has one, or as JSON to Out, where a program
// expects one document.
func PrintFindings(io IO, f Format, findings diag.Findings) error {
	if f == JSON {
		return findings.WriteJSON(io.Out)
	}
	return findings.WriteText(io.Err)
}

// PrintJSON prints v as an indented document.
func PrintJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// Report prints err where it is findings, and returns what the command then
// ends with: a failure of which all has been said, or err itself as a failure.
func Report(io IO, f Format, err error) error {
	var findings diag.Findings
	if !errors.As(err, &findings) {
		return Exit{Code: Failure, Err: err}
	}
	if err := PrintFindings(io, f, findings); err != nil {
		return err
	}
	return Exit{Code: Failure}
}
