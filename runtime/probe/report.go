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
	Target  string  `json:"target"`
	GRPC    string  `json:"grpc,omitempty"`
	Verdict string  `json:"verdict"`         // what it comes to, in one sentence
	First   *First  `json:"first,omitempty"` // what breaks the rest; nil: nothing does
	Checks  []Check `json:"checks"`
}

// First is the first check that fails.
type First struct {
	Layer Layer  `json:"layer"`
	ID    ID     `json:"check"`
	Name  string `json:"name"`
	Code  string `json:"code"`
}

// Failed says whether any check failed.
func (r *Report) Failed() bool { return r.First != nil }

// Check is the check by its ID, of the first name that has it.
func (r *Report) Check(id ID) (Check, bool) {
	for _, c := range r.Checks {
		if c.ID == id {
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

// text is one line a check, and what it comes to at the end, where a terminal
// shows it. What is to be done stands below its check, and of the first that
// fails at the end alone.
func (r *Report) text(w io.Writer) error {
	var b strings.Builder
	name := ""
	for _, c := range r.Checks {
		if c.Name != name {
			name = c.Name
			b.WriteString(name + "\n")
		}
		took := ""
		if c.Result != Skip {
			took = fmt.Sprintf("%.1f ms", c.MS)
		}
		fmt.Fprintf(&b, "  %-4s  %-23s %10s  %s\n", c.Result, c.ID, took, c.code()+c.Observed)
		if !r.first(c) {
			c.details(&b, "        ")
		}
	}
	counts := r.counts()
	fmt.Fprintf(&b, "\n%d checks: %d pass, %d warn, %d fail, %d skip\n\n%s\n", len(r.Checks), counts[Pass], counts[Warn], counts[Fail], counts[Skip], r.Verdict)
	for _, c := range r.Checks {
		if r.first(c) {
			fmt.Fprintf(&b, "why: %s\nfix: %s\n", c.Why, c.Fix)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// details are what is said about a check beyond what was seen.
func (c Check) details(b *strings.Builder, indent string) {
	for _, d := range [][2]string{{"why", c.Why}, {"fix", c.Fix}, {"at", c.place()}} {
		if d[1] != "" {
			fmt.Fprintf(b, "%s%s: %s\n", indent, d[0], d[1])
		}
	}
}

func (r *Report) first(c Check) bool {
	return r.First != nil && c.ID == r.First.ID && c.Name == r.First.Name
}

func (r *Report) counts() map[Result]int {
	counts := map[Result]int{}
	for _, c := range r.Checks {
		counts[c.Result]++
	}
	return counts
}

// conclude says in one sentence what everything comes to.
func (r *Report) conclude() {
	counts := r.counts()
	for _, c := range r.Checks {
		if r.first(c) {
			r.Verdict = fmt.Sprintf("BROKEN at %s of %s (%s): %s", c.ID, c.Name, c.Code, c.Observed)
			if p := c.place(); p != "" {
				r.Verdict = fmt.Sprintf("BROKEN at %s of %s (%s), by %s", c.ID, c.Name, c.Code, p)
			}
			return
		}
	}
	r.Verdict = "WORKS: " + r.Target
	if r.GRPC != "" {
		r.Verdict += " and " + r.GRPC
	}
	r.Verdict += fmt.Sprintf(", in %d checks of %d", len(r.Checks)-counts[Skip], len(r.Checks))
	if counts[Warn] > 0 {
		r.Verdict += fmt.Sprintf(", %d of them with a warning", counts[Warn])
	}
	// What was not tried is no pass: it is said by its reasons.
	var reasons []string
	by := map[string][]string{}
	for _, c := range r.Checks {
		if c.Result == Skip {
			if by[c.Observed] == nil {
				reasons = append(reasons, c.Observed)
			}
			by[c.Observed] = append(by[c.Observed], string(c.ID))
		}
	}
	for _, reason := range reasons {
		r.Verdict += fmt.Sprintf("; not tried: %s (%s)", strings.Join(by[reason], ", "), reason)
	}
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

// junit has a test case for each check.
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
			// Under the check's own name: a file of the bundle is no test case.
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
