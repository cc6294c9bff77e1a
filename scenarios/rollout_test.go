package scenarios

import (
	"log/slog"
	"testing"

	"kasgen/scenarios/rollout"
)

// TestRollouts goes through every rollout's steps: nobody notices any of them.
func TestRollouts(t *testing.T) {
	t.Parallel()
	all, err := rollout.Read(rollouts, "rollouts")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 2 {
		t.Errorf("%d rollouts", len(all))
	}
	for _, r := range all {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			results, err := rollout.Run(t.Context(), r, rollout.Options{Version: "test", Tell: func(r rollout.Result) { t.Logf("%+v", r) }, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))})
			if err != nil {
				t.Fatal(err)
			}
			if len(results) != len(r.Steps)+1 {
				t.Errorf("%d results of %d steps", len(results), len(r.Steps))
			}
			for _, got := range results {
				if !got.Pass || got.Tried != 3*len(r.Agents) || got.Passed != got.Tried || got.Sessions != len(r.Agents) || got.Alive != got.Sessions {
					t.Errorf("%+v", got)
				}
			}
		})
	}
}
