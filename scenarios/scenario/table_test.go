package scenario

import (
	"errors"
	"strings"
	"testing"
)

// TestModelsAreNamed: whatever is said of a scenario in which a model has a part
// names it.
func TestModelsAreNamed(t *testing.T) {
	t.Parallel()
	s := Scenario{Name: "9-x", Settings: Settings{Title: "a title", Balancer: "alb", GRPCBalancer: "alb-grpc"}}
	const mark = " [model: alb, alb-grpc]"
	if got, want := s.Marked(), "a title"+mark; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	cells := s.cells("embedded")
	for i := range cells {
		cells[i].Reason = "a reason"
	}
	var b strings.Builder
	if err := WriteTable(&b, cells, nil); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if (strings.Contains(line, "a title") || strings.Contains(line, "a reason")) && !strings.Contains(line, mark) {
			t.Errorf("no model is named in %q", line)
		}
	}
	if n := strings.Count(b.String(), mark); n != 1+len(cells) {
		t.Errorf("models are named %d times in\n%s", n, &b)
	}
	if err := Judge(cells, nil); !errors.Is(err, ErrCells) || !strings.Contains(err.Error(), "9-x"+mark) {
		t.Errorf("%v", err)
	}
}
