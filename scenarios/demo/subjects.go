package demo

import (
	"fmt"

	"kasgen/internal/diag"
)

// Subjects are the cells as a test's cases: each passed, failed where it is
// not as promised, or skipped. Cells that are missing are a failure of their
// own.
func Subjects(cells []Cell, p Promise, agents int) []diag.Subject {
	var list []diag.Subject
	for _, c := range cells {
		s := diag.Subject{Name: fmt.Sprintf("%s through the %s agent over %s", c.Operation, c.Agent, c.Transport)}
		want := p.of(c)
		switch c.Result {
		case want:
		case Skip:
			s.Skipped = c.Reason
		default:
			s.Failure = &diag.Failure{Kind: string(c.Result), Text: fmt.Sprintf("%s, not %s: %s", c.Result, want, c.Reason)}
		}
		list = append(list, s)
	}
	if want := Count(agents); len(cells) != want {
		list = append(list, diag.Subject{Name: "every cell", Failure: &diag.Failure{Kind: "missing", Text: fmt.Sprintf("%d cells, not %d", len(cells), want)}})
	}
	return list
}
