package engine_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"

	"kasgen/chart"
	"kasgen/chart/charttest"
	"kasgen/chart/engine"
	"kasgen/internal/cli"
)

// TestLint has Helm's linter look at the chart that stands beside a release, for
// every topology, provider and option.
func TestLint(t *testing.T) {
	t.Parallel()
	for _, c := range charttest.Cases() {
		if c.Topology == "packaged" {
			continue // it has nothing beside the release that would work
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			spec, out := filepath.Join(t.TempDir(), "kasgen.yaml"), filepath.Join(t.TempDir(), "kasgen-kas-edge")
			if err := os.WriteFile(spec, []byte(c.KasgenYAML()), 0o600); err != nil {
				t.Fatal(err)
			}
			var errs bytes.Buffer
			streams := cli.IO{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &errs}
			args := append([]string{"chart", "extras", "-f", spec, "--chart-version", c.Version, "-o", out}, c.Args...)
			if code := cli.Run(t.Context(), cli.Root(streams, chart.Commands(streams)...), args); code != cli.Done {
				t.Fatal(code, errs.String())
			}
			l := lint.All(out, nil, "gitlab", true)
			for _, m := range l.Messages {
				if m.Severity > support.InfoSev {
					t.Error(m)
				}
			}
			if len(l.Messages) == 0 {
				t.Error("the linter has nothing to say, not even that there is no icon")
			}
		})
	}
}

// TestIgnored leaves out of a directory what Helm leaves out.
func TestIgnored(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"Chart.yaml": "apiVersion: v2\nname: x\nversion: 1.0.0\n", ".helmignore": "*.draft.yaml\n",
		"templates/a.yaml": "a: 1\n", "templates/b.draft.yaml": "b: {{ .Values.nothing.at.all }}\n",
	} {
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := engine.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	files, err := c.Render(release, nil)
	if diff := cmp.Diff([]engine.File{{Name: "x/templates/a.yaml", Text: "a: 1\n"}}, files); err != nil || diff != "" {
		t.Error(err, diff)
	}
}
