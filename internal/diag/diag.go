// Package diag owns findings: what kasgen tells a user about a fault in
// something the user wrote. It knows no file format and prints nothing by
// itself. Its law: a finding has a stable code, a place, a reason and a fix.
package diag

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Severity says what a finding does to the exit code.
type Severity string

const (
	// Error stops the command with exit code 1.
	Error Severity = "error"
	// Warning is printed and does not change the exit code.
	Warning Severity = "warning"
)

// Pos is a place in a file. Line and Column count from 1, Column in bytes;
// both are 0 where only the file is known.
type Pos struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

func (p Pos) String() string {
	switch {
	case p.Line == 0 && p.File == "":
		return ""
	case p.Line == 0:
		return p.File
	default:
		return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	}
}

// Finding is one fault and what to do about it.
type Finding struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	Pos
	Field string `json:"field,omitempty"`
	What  string `json:"what"`
	Why   string `json:"why,omitempty"`
	Fix   string `json:"fix,omitempty"`
	// Suppressed says that somebody takes the finding as known; it is then
	// listed and counts for nothing.
	Suppressed *Suppression `json:"suppressed,omitempty"`
}

// Suppression is why a finding counts for nothing.
type Suppression struct {
	Reason string `json:"reason"`
	Until  string `json:"until,omitempty"` // a day, 2027-01-31, or empty
}

// Error is the finding on one line, without reason and fix.
func (f Finding) Error() string {
	var b strings.Builder
	if p := f.Pos.String(); p != "" {
		b.WriteString(p + ": ")
	}
	fmt.Fprintf(&b, "%s: %s: %s", f.Severity, f.Code, f.What)
	return b.String()
}

// Findings is all that one pass over the input found. It is an error value:
// return Err() rather than the slice itself.
type Findings []Finding

// Add appends a finding; an empty severity means Error.
func (fs *Findings) Add(f Finding) {
	if f.Severity == "" {
		f.Severity = Error
	}
	*fs = append(*fs, f)
}

// Sort orders findings by file, line, column and code.
func (fs Findings) Sort() {
	slices.SortStableFunc(fs, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column), cmp.Compare(a.Code, b.Code))
	})
}

// Failed says whether any finding is an Error.
func (fs Findings) Failed() bool {
	return slices.ContainsFunc(fs, func(f Finding) bool { return f.Severity == Error })
}

// Err is the findings as an error, or nil if none of them is an Error.
func (fs Findings) Err() error {
	if !fs.Failed() {
		return nil
	}
	return fs
}

func (fs Findings) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// WriteText prints each finding as one line with its reason and fix indented
// below, and counts those that are suppressed.
func (fs Findings) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, f := range fs {
		if f.Suppressed == nil {
			f.text(&b)
		}
	}
	if n := fs.suppressed(); n > 0 {
		b.WriteString(counted(n, "warning") + " suppressed\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// text is the finding in full.
func (f Finding) text(b *strings.Builder) {
	b.WriteString(f.Error() + "\n")
	if f.Why != "" {
		b.WriteString("  why: " + f.Why + "\n")
	}
	if f.Fix != "" {
		b.WriteString("  fix: " + f.Fix + "\n")
	}
	if f.Suppressed != nil {
		b.WriteString("  suppressed: " + f.Suppressed.Reason + "\n")
	}
}
