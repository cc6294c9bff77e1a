package scenarios

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"kasgen/internal/cli"
	"kasgen/internal/cli/clitest"
	"kasgen/internal/judge"
	"kasgen/runtime"
	"kasgen/scenarios/rollout"
	"kasgen/scenarios/scenario"
)

// TestScenarios is the command with everything that it has: the whole matrix,
// each cell and check as its file expects, and rollouts that nobody notices.
func TestScenarios(t *testing.T) {
	t.Parallel()
	kasgen := clitest.Build(t)
	all, ways, err := readScenarios()
	if err != nil {
		t.Fatal(err)
	}
	for _, front := range []string{"embedded", "native"} {
		t.Run(front, func(t *testing.T) {
			t.Parallel()
			if front == string(runtime.Native) {
				judge.Find(t, "nginx")
				judge.Find(t, "haproxy")
			}
			out, errs, code := kasgen.Run(t, "scenario", "run", "--format=json", "--front="+front)
			var got scenarioResult
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatalf("%v\n%s\n%s", err, out, errs)
			}
			expected := 0
			for _, c := range got.Cells {
				if c.Pass {
					expected++
				}
				if !c.Pass || string(c.Front) != front {
					t.Errorf("%+v", c)
				}
				// It is the cluster that refuses there, not the front.
				if older := strings.HasSuffix(c.Scenario, "-older-cluster"); c.Traffic == scenario.WebSocket && older != strings.Contains(c.Reason, "403 Forbidden); upon which kubectl falls back to SPDY: exec by SPDY") {
					t.Errorf("%+v", c)
				}
			}
			checks := 0
			for _, s := range all {
				checks += len(s.Checks)
			}
			for _, c := range got.Checks {
				if !c.Pass || string(c.Front) != front {
					t.Errorf("%+v", c)
				}
			}
			if len(got.Checks) != checks || checks < 8 {
				t.Errorf("%d checks of %d", len(got.Checks), checks)
			}
			alive, steps := unnoticed(t, got.Steps, ways)
			if want := len(all) * len(scenario.All()); code != cli.Done || len(got.Cells) != want || len(all) < 12 || len(ways) < 2 {
				t.Errorf("exit code %d, %d cells of %d\n%s", code, len(got.Cells), want, errs)
			}
			t.Logf("scenarios, %s front: %d of %d cells as expected, %d of %d steps unnoticed", front, expected, len(all)*len(scenario.All()), alive, steps)
		})
	}
}

// unnoticed holds every step of the rollouts to what their files promise, and
// returns how many passed, and how many there have to be.
func unnoticed(t *testing.T, got []rollout.Result, ways []rollout.Rollout) (passed, steps int) {
	t.Helper()
	for _, s := range got {
		if s.Pass {
			passed++
		}
		if !s.Pass || s.Tried != 9 || s.Passed != 9 || s.Sessions != 3 || s.Alive != 3 {
			t.Errorf("%+v", s)
		}
	}
	for _, w := range ways {
		steps += 1 + len(w.Steps)
	}
	if len(got) != steps {
		t.Errorf("%d steps of %d", len(got), steps)
	}
	return passed, steps
}

// TestRollouts is the rollouts alone, in this process: below the race detector,
// and nothing runs on behind them.
func TestRollouts(t *testing.T) {
	t.Parallel()
	_, ways, err := readScenarios()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"scenario", "run", "--format=json"}
	for _, w := range ways {
		args = append(args, w.Name)
	}
	var out bytes.Buffer
	errs := new(log)
	streams := cli.IO{Out: &out, Err: errs}
	if code := cli.Run(t.Context(), cli.Root(streams, Commands(streams)...), args); code != cli.Done {
		t.Errorf("exit code %d\n%s", code, errs.String())
	}
	var got scenarioResult
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	unnoticed(t, got.Steps, ways)
	if len(got.Cells) != 0 {
		t.Errorf("%d cells", len(got.Cells))
	}
}
