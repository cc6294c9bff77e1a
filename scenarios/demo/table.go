package demo

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteTable prints cells for people: a line for each, and reasons below, each
// once, since a topology refuses many cells for the same one.
func WriteTable(w io.Writer, cells []Cell) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "OPERATION\tAGENT\tTRANSPORT\tOBSERVED\tRESULT\tMS\tHEAD MS")
	count := map[Result]int{}
	var notes []string
	for _, c := range cells {
		count[c.Result]++
		mark := ""
		if c.Reason != "" {
			note := c.said()
			n := slices.Index(notes, note)
			if n < 0 {
				n, notes = len(notes), append(notes, note)
			}
			mark = fmt.Sprintf(" [%d]", n+1)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s%s\t%d\t%d\n", c.Operation, c.Agent, c.Transport, c.Observed, c.Result, mark, c.MS, c.HeadMS)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for n, note := range notes {
		if _, err := fmt.Fprintf(w, "\n[%d] %s\n", n+1, note); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\n%d cells: %d pass, %d fail, %d refused, %d skip\n", len(cells), count[Pass], count[Fail], count[Refused], count[Skip])
	return err
}

// said is a refusal's own words, without those of the client that passes them
// on, or the whole reason of a failure.
func (c Cell) said() string {
	if _, words, ok := strings.Cut(c.Reason, "kas: "); ok && c.Result == Refused {
		return words
	}
	return c.Reason
}

// Line is a cell while the demo runs.
func Line(c Cell, n, of int) string {
	s := fmt.Sprintf("[%2d/%d] %-4s %s through the %s agent over %s (%d ms)", n, of, c.Result, c.Operation, c.Agent, c.Transport, c.MS)
	if c.Reason != "" && c.Result != Refused {
		s += ": " + c.Reason
	}
	return s
}
