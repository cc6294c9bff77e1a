package probe

import (
	"fmt"
	"io"
	"strings"

	"kasgen/internal/cli"
	"kasgen/internal/diag"
)

// Report is what was seen.
type Report struct {
	Target string  `json:"target"`
	GRPC   string  `json:"grpc,omitempty"`
	First  *First  `json:"first,omitempty"` // the layer that breaks the rest; nil: none does
	Checks []Check `json:"checks"`
}

// First is the first layer that fails.
type First struct {
	Layer Layer  `json:"layer"`
	Name  string `json:"name"`
}

// Failed says whether any layer failed.
func (r *Report) Failed() bool { return r.First != nil }

// Check is the check of a layer, of the first name that has it.
func (r *Report) Check(l Layer) (Check, bool) {
	for _, c := range r.Checks {
		if c.Layer == l {
			return c, true
		}
	}
	return Check{}, false
}

// Write prints the report.
func (r *Report) Write(w io.Writer, f cli.Format) error {
	switch f {
	case cli.JSON:
		return cli.PrintJSON(w, r)
	case cli.JUnit:
		return r.junit().WriteJUnit(w)
	default:
		return r.text(w)
	}
}

// text is one line a layer, with what is to be done about it below.
func (r *Report) text(w io.Writer) error {
	var b strings.Builder
	name, counts := "", map[Result]int{}
	for _, c := range r.Checks {
		if c.Name != name {
			name = c.Name
			b.WriteString(name + "\n")
		}
		counts[c.Result]++
		fmt.Fprintf(&b, "  %-4s  %-24s %s\n", c.Result, c.Layer, c.code()+c.Observed)
		for _, detail := range [][2]string{{"why", c.Why}, {"fix", c.Fix}, {"at", c.place()}} {
			if detail[1] != "" {
				fmt.Fprintf(&b, "        %s: %s\n", detail[0], detail[1])
			}
		}
	}
	fmt.Fprintf(&b, "\n%d layers: %d pass, %d warn, %d fail, %d skip\n", len(r.Checks), counts[Pass], counts[Warn], counts[Fail], counts[Skip])
	if r.First != nil {
		fmt.Fprintf(&b, "the first layer that fails: %s of %s\n", r.First.Layer, r.First.Name)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (c Check) code() string {
	if c.Code == "" {
		return ""
	}
	return c.Code + ": "
}

// place is the line that is likely to blame.
func (c Check) place() string {
	if c.At == nil {
		return ""
	}
	return strings.TrimSuffix(c.At.String()+": "+c.Line, ": ")
}

// junit has a test case for each layer.
func (r *Report) junit() diag.Report {
	d := diag.Report{Command: "kasgen probe " + r.Target}
	for _, c := range r.Checks {
		s := diag.Subject{Name: c.title()}
		switch c.Result {
		case Fail:
			text := c.Observed + "\nwhy: " + c.Why + "\nfix: " + c.Fix
			if p := c.place(); p != "" {
				text += "\nat: " + p
			}
			s.Failure = &diag.Failure{Kind: c.Code, Text: text}
		case Skip:
			s.Skipped = c.Observed
		case Warn:
			// Under the layer's own name: a file of the bundle is no test case.
			f := c.finding(diag.Warning)
			f.Pos = diag.Pos{File: s.Name}
			if p := c.place(); p != "" {
				f.Fix += " (" + p + ")"
			}
			d.Findings.Add(f)
		case Pass:
		}
		d.Subjects = append(d.Subjects, s)
	}
	return d
}
