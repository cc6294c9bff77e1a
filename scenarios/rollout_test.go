package scenarios

import (
	"bytes"
	"encoding/json"
	"testing"

	"kasgen/internal/cli"
	"kasgen/runtime"
	"kasgen/runtime/balancer/balancertest"
	"kasgen/scenarios/scenario"
)

// TestScenarios is the command with everything that it has: the whole matrix,
// each cell as its file expects, and rollouts that nobody notices.
func TestScenarios(t *testing.T) { //nolint:paralleltest // each is a load by itself
	all, ways, err := readScenarios()
	if err != nil {
		t.Fatal(err)
	}
	for _, front := range []string{"embedded", "native"} {
		t.Run(front, func(t *testing.T) {
			if front == string(runtime.Native) {
				balancertest.Native(t, "nginx")
				balancertest.Native(t, "haproxy")
			}
			var out bytes.Buffer
			errs := new(log)
			streams := cli.IO{Out: &out, Err: errs}
			code := cli.Run(t.Context(), cli.Root(streams, Commands(streams)...), []string{"scenario", "run", "--format=json", "--front=" + front})
			var got scenarioResult
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatalf("%v\n%s\n%s", err, out.String(), errs.String())
			}
			for _, c := range got.Cells {
				if !c.Pass || string(c.Front) != front {
					t.Errorf("%+v", c)
				}
			}
			steps := 0
			for _, w := range ways {
				steps += 1 + len(w.Steps)
			}
			for _, s := range got.Steps {
				if !s.Pass || s.Tried != 9 || s.Passed != 9 || s.Sessions != 3 || s.Alive != 3 {
					t.Errorf("%+v", s)
				}
			}
			if want := len(all) * len(scenario.All()); code != cli.Done || len(got.Cells) != want || len(got.Steps) != steps || len(all) < 12 || len(ways) < 2 {
				t.Errorf("exit code %d, %d cells of %d, %d steps of %d\n%s", code, len(got.Cells), want, len(got.Steps), steps, errs.String())
			}
			t.Logf("scenarios, %s front: %d of %d cells as expected, %d of %d steps unnoticed", front, len(got.Cells), len(all)*len(scenario.All()), len(got.Steps), steps)
		})
	}
}
