package generator_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"kasgen/generator"
	"kasgen/generator/bundle"
	"kasgen/generator/spec"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
)

// paper is a target that writes one file, refuses agents by gRPC alone, and
// has GitLab at another place by default.
func paper() generator.Target {
	return generator.Target{
		Name: "paper",
		Defaults: func(s *spec.Spec, written func(string) bool) {
			if !written("stateDir") {
				s.StateDir = "/srv/paper"
			}
		},
		Renderer: func(flags *pflag.FlagSet) generator.Renderer {
			size := flags.String("paper-size", "A4", "")
			return func(f generator.Facts) ([]bundle.File, diag.Findings, error) {
				var fs diag.Findings
				if !f.Topology.KAS.Websocket {
					fs.Add(diag.Finding{Code: "KAS1402", Severity: diag.Error, Pos: f.At("agents.websocket"), What: "paper needs WebSocket"})
				}
				return []bundle.File{{Path: "paper.txt", Data: []byte(*size + " " + f.Spec.StateDir + " " + f.Topology.Name + "\n")}}, fs, nil
			}
		},
	}
}

func execute(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errors bytes.Buffer
	streams := cli.IO{In: strings.NewReader(""), Out: &out, Err: &errors}
	code = cli.Run(context.Background(), cli.Root(streams, generator.Commands(streams, paper())...), args)
	return code, out.String(), errors.String()
}

func TestTarget(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args        string
		code        int
		out, stderr string // contained
	}{
		{"render --target=paper --paper-size A5", 0, "-- paper.txt --\nA5 /srv/paper A\n", ""},
		{"render --target=paper --state-dir /other", 0, "-- paper.txt --\nA4 /other A\n", ""},
		{"render", 0, "-- edge/edge.yaml --", ""},
		{"validate --target=paper", 0, "valid\n", ""},
		{"validate --target=paper --agents-websocket remove", 1, "", "paper needs WebSocket"},
		{"render --target=paper --agents-websocket remove", 1, "", "paper needs WebSocket"},
		{"render --paper-size A5", 3, "", "--paper-size goes with --target paper"},
		{"render --target=stone", 3, "", "it is one of plain, paper"},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			code, out, stderr := execute(t, strings.Fields(c.args)...)
			if d := cmp.Diff(c.code, code); d != "" {
				t.Errorf("exit code: %s\n%s", d, stderr)
			}
			if !strings.Contains(out, c.out) || !strings.Contains(stderr, c.stderr) {
				t.Errorf("got %q and %q, want %q and %q in them", out, stderr, c.out, c.stderr)
			}
		})
	}
}
