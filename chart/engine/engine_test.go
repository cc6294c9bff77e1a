package engine_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/chart/charttest"
	"kasgen/chart/engine"
	"kasgen/chart/manifest"
)

var release = engine.Release{Name: "gitlab", Namespace: "gitlab", APIVersions: []string{"networking.k8s.io/v1/Ingress"}}

// TestContract renders the contract chart of each version, from a directory and
// packaged, and reads every object strictly.
func TestContract(t *testing.T) {
	t.Parallel()
	for _, v := range charttest.Versions() {
		t.Run(v, func(t *testing.T) {
			t.Parallel()
			dir, err := engine.Load(charttest.Dir(t, v))
			if err != nil {
				t.Fatal(err)
			}
			if dir.Name() != "gitlab" || !strings.HasPrefix(dir.Version(), v+".") {
				t.Errorf("%s %s", dir.Name(), dir.Version())
			}
			files, err := charttest.Files(v)
			if err != nil {
				t.Fatal(err)
			}
			tgz := filepath.Join(t.TempDir(), "chart.tgz")
			if err := engine.Pack("gitlab", tgz, files); err != nil {
				t.Fatal(err)
			}
			packed, err := engine.Load(tgz)
			if err != nil {
				t.Fatal(err)
			}
			values := map[string]any{"certmanager-issuer": map[string]any{"email": "a@example.com"}}
			one, err := dir.Render(release, values)
			if err != nil {
				t.Fatal(err)
			}
			two, err := packed.Render(release, values)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(one, two); diff != "" {
				t.Error(diff)
			}
			r, err := manifest.NewReader()
			if err != nil {
				t.Fatal(err)
			}
			var all []*manifest.Object
			for _, f := range one {
				list, findings := r.Read(f.Name, []byte(f.Text))
				for _, f := range findings {
					t.Error(f)
				}
				all = append(all, list...)
			}
			if len(all) < 12 {
				t.Errorf("%d objects", len(all))
			}
			for _, f := range manifest.Doubles(all) {
				t.Error(f)
			}
		})
	}
}

// TestSubCharts takes a sub-chart away by a value, and has it back afterwards.
func TestSubCharts(t *testing.T) {
	t.Parallel()
	c, err := engine.Load(charttest.Dir(t, "9.9"))
	if err != nil {
		t.Fatal(err)
	}
	count := func(values map[string]any) int {
		t.Helper()
		files, err := c.Render(release, values)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, f := range files {
			if strings.Contains(f.Name, "/nginx-ingress/") {
				n++
			}
		}
		return n
	}
	email := map[string]any{"certmanager-issuer": map[string]any{"email": "a@example.com"}}
	off := engine.Merge(email, map[string]any{"nginx-ingress": map[string]any{"enabled": false}})
	if got := []int{count(email), count(off), count(email)}; !cmp.Equal(got, []int{1, 0, 1}) {
		t.Error(got)
	}
	if _, err := c.Render(release, nil); err == nil || !strings.Contains(err.Error(), "certmanager-issuer.email") {
		t.Error(err)
	}
}

// TestDefaults has keys of sub-charts below their names, and what an umbrella
// says of them over what they say.
func TestDefaults(t *testing.T) {
	t.Parallel()
	c, err := engine.LoadFiles("x", map[string][]byte{
		"Chart.yaml":                 []byte("apiVersion: v2\nname: x\nversion: 1.0.0\n"),
		"values.yaml":                []byte("a: 1\nsub:\n  b: 2\nglobal:\n  g: 1\n"),
		"charts/sub/Chart.yaml":      []byte("apiVersion: v2\nname: sub\nversion: 1.0.0\n"),
		"charts/sub/values.yaml":     []byte("b: 1\nc: null\nglobal:\n  h: 2\n"),
		"charts/sub/templates/a.txt": []byte("{{ .Values.d }}"),
	})
	if err != nil {
		t.Fatal(err)
	}
	sub := map[string]any{"b": 2., "c": nil, "global": map[string]any{"h": 2.}}
	want := map[string]any{"a": 1., "sub": sub, "global": map[string]any{"g": 1., "h": 2.}}
	if diff := cmp.Diff(want, c.Defaults()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]engine.Template{{Chart: "sub", Name: "templates/a.txt", Text: "{{ .Values.d }}"}}, c.Templates()); diff != "" {
		t.Error(diff)
	}
}
