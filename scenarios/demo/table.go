package demo

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteTable prints cells for people.
func WriteTable(w io.Writer, cells []Cell) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "OPERATION\tAGENT\tTRANSPORT\tOBSERVED\tRESULT\tMS\tREASON")
	count := map[Result]int{}
	for _, c := range cells {
		count[c.Result]++
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", c.Operation, c.Agent, c.Transport, c.Observed, c.Result, c.MS, c.Reason)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%d cells: %d pass, %d fail, %d refused, %d skip\n", len(cells), count[Pass], count[Fail], count[Refused], count[Skip])
	return err
}

// Line is a cell while the demo runs.
func Line(c Cell, n, of int) string {
	s := fmt.Sprintf("[%2d/%d] %-4s %s through the %s agent over %s (%d ms)", n, of, c.Result, c.Operation, c.Agent, c.Transport, c.MS)
	if c.Reason != "" {
		s += ": " + c.Reason
	}
	return s
}
