package rollout

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteTable prints a line for each step, and below it why one is no pass.
func WriteTable(w io.Writer, results []Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	last, failed := "", 0
	for _, r := range results {
		if r.Rollout != last {
			fmt.Fprintf(t, "%s\toperations\tsessions\tagents\n", r.Title)
			last = r.Rollout
		}
		agents := "stayed"
		if r.Dialed > 0 {
			agents = fmt.Sprintf("%d connected anew", r.Dialed)
		}
		fmt.Fprintf(t, "  %s\t%d of %d\t%d of %d\t%s", r.Step, r.Passed, r.Tried, r.Alive, r.Sessions, agents)
		if !r.Pass {
			failed++
			fmt.Fprint(t, "\tnoticed")
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		if !r.Pass {
			if _, err := fmt.Fprintf(w, "\n%s, %s: %s\n", r.Rollout, r.Step, r.Reason); err != nil {
				return err
			}
		}
	}
	_, err := fmt.Fprintf(w, "\n%d steps: %d unnoticed, %d noticed\n", len(results), len(results)-failed, failed)
	return err
}

// ErrNoticed says that somebody noticed a step.
var ErrNoticed = errors.New("a step of the rollout was noticed")

// Judge is ErrNoticed if any step is no pass.
func Judge(results []Result) error {
	for _, r := range results {
		if !r.Pass {
			return fmt.Errorf("%w: %s of %s", ErrNoticed, r.Step, r.Rollout)
		}
	}
	return nil
}
