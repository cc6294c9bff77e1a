package rollout

import (
	"errors"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/diag"
)

// TestFaults has every fault of a file told at once.
func TestFaults(t *testing.T) {
	t.Parallel()
	const text = `-- a.yaml --
x
-- rollout.yaml --
title: t
start: b
agents: [wss, carrier]
steps:
- {do: hope}
- {do: switch, bundle: c}
- {do: restart, agent: 3, by: wss}
- {do: restart, agent: 1, by: pigeon}
- {do: switch, bundle: a}
`
	_, err := Read(fstest.MapFS{"dir/x.txtar": {Data: []byte(text)}}, "dir")
	var found diag.Findings
	if !errors.As(err, &found) {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, f.Code+" "+f.Field)
	}
	want := []string{"KAS4103 start", "KAS4104 agents[1]", "KAS4104 steps[0]", "KAS4103 steps[1]", "KAS4103 steps[2]", "KAS4104 steps[3]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
