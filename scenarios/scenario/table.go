package scenario

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteTable prints a line for each scenario, a column for each kind of
// traffic, below it the reason of each cell that is not yes, and the checks.
func WriteTable(w io.Writer, cells []Cell, checks []Checked) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "SCENARIO")
	for _, traffic := range All() {
		fmt.Fprintf(t, "\t%s", traffic)
	}
	fmt.Fprintln(t)
	failed := 0
	for i, c := range cells {
		if i%len(All()) == 0 {
			fmt.Fprint(t, marked(c.Title, c.Models))
		}
		fmt.Fprintf(t, "\t%s", c.Got)
		if !c.Pass {
			failed++
			fmt.Fprintf(t, " (not %s)", c.Want)
		}
		if i%len(All()) == len(All())-1 {
			fmt.Fprintln(t)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	for _, c := range cells {
		if c.Got == Yes || c.Reason == "" || c.Got == Impossible && c.Traffic != WSS {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s, %s: %s\n", marked(c.Scenario, c.Models), c.Traffic, c.Reason); err != nil {
			return err
		}
	}
	by := ""
	if len(cells) > 0 {
		by = ", by the " + string(cells[0].Front) + " front"
	}
	counted := ""
	if len(checks) > 0 {
		wrong, err := writeChecks(w, checks)
		if err != nil {
			return err
		}
		counted = fmt.Sprintf("; %d checks: %d as expected, %d not", len(checks), len(checks)-wrong, wrong)
	}
	_, err := fmt.Fprintf(w, "\n%d cells: %d as expected, %d not%s%s\n", len(cells), len(cells)-failed, failed, counted, by)
	return err
}

// writeChecks prints a line for each check, and counts those that differ.
func writeChecks(w io.Writer, checks []Checked) (failed int, err error) {
	fmt.Fprint(w, "\nCHECKS\n")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range checks {
		got := string(c.Got)
		if !c.Pass {
			failed++
			got += fmt.Sprintf(" (not %s)", c.Want)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", marked(c.Scenario, c.Models), c.marked(), got)
	}
	if err := t.Flush(); err != nil {
		return 0, err
	}
	fmt.Fprintln(w)
	for _, c := range checks {
		if c.Reason == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s, %s: %s\n", marked(c.Scenario, c.Models), c.named(), c.Reason); err != nil {
			return 0, err
		}
	}
	return failed, nil
}

// ErrCells says that a cell or a check differs from its scenario's expectation.
var ErrCells = errors.New("not every cell is as its scenario expects")

// Judge is ErrCells if any cell or check differs, or if there is no cell.
func Judge(cells []Cell, checks []Checked) error {
	for _, c := range cells {
		if !c.Pass {
			return fmt.Errorf("%w: %s in %s is %s, not %s", ErrCells, c.Traffic, marked(c.Scenario, c.Models), c.Got, c.Want)
		}
	}
	for _, c := range checks {
		if !c.Pass {
			return fmt.Errorf("%w: %s in %s is %s, not %s", ErrCells, c.named(), marked(c.Scenario, c.Models), c.Got, c.Want)
		}
	}
	if len(cells) == 0 {
		return fmt.Errorf("%w: there is none", ErrCells)
	}
	return nil
}
