package chart

import (
	"strings"
	"testing"

	"kasgen/chart/charttest"
	"kasgen/internal/cli"
)

// releaseOf is the manifest of the contract chart with values, as helm prints it.
func releaseOf(t *testing.T, version string, files ...string) string {
	t.Helper()
	r := release{name: "gitlab", namespace: "gitlab", files: files, chart: charttest.Dir(t, version)}
	out, findings, err := r.render(nil)
	if err != nil || findings.Failed() {
		t.Fatal(err, findings)
	}
	var b strings.Builder
	for _, f := range out.texts {
		b.WriteString("---\n# Source: " + f.Name + "\n" + f.Text + "\n")
	}
	return b.String()
}

// TestDiff compares with a render without kasgen's values, and with a release
// before and after.
func TestDiff(t *testing.T) {
	t.Parallel()
	values, kas := write(t, "values.yaml", base), ""
	exit, out, errs := run(t, "", "values", "--topology=A", "--chart-version=9.9")
	if exit != cli.Done {
		t.Fatal(errs)
	}
	kas = write(t, "values.kas.yaml", out)
	dir := charttest.Dir(t, "9.9")
	for _, tt := range []struct {
		name, in string
		args     []string
		exit     int
		out      []string
	}{
		{"without kasgen's values", "", nil, cli.Differences, []string{"- Ingress gitlab-kas\n", "~ ConfigMap gitlab-webservice data.gitlab.yml.erb.production.gitlab_kas.external_url: \"wss://kas.example.com\" -> \"wss://kas.gitlab.example.com\"\n"}},
		{"without kasgen's values, which are given as well", "", []string{"-f", kas}, cli.Differences, []string{"- Ingress gitlab-kas\n"}},
		{"people's own stay", "", []string{"-f", write(t, "own.yaml", "global: {hosts: {kas: {name: kas.gitlab.example.com}}}\n"), "--format=json"}, cli.Differences, []string{`[
  {
    "object": "Ingress gitlab-kas",
    "change": "removed"
  }
]
`}},
		{"a release before", releaseOf(t, "9.9", values), []string{"--against=-"}, cli.Differences, []string{"- Ingress gitlab-kas\n"}},
		{"a release after", releaseOf(t, "9.9", values, kas), []string{"--against=-"}, cli.Done, nil},
		{"with the extras", releaseOf(t, "9.9", values, kas), []string{"--against=-", "--extras", "--format=json"}, cli.Differences, []string{`"object": "Deployment kas-edge-edge"`, `"change": "added"`}},
		{"no manifest", "a: b\n", []string{"--against=-"}, cli.Failure, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			exit, out, errs := run(t, tt.in, append([]string{"diff", "--topology=A", "--chart", dir, "-f", values}, tt.args...)...)
			if exit != tt.exit {
				t.Errorf("exit code %d\n%s\n%s", exit, out, errs)
			}
			for _, want := range tt.out {
				if !strings.Contains(out, want) {
					t.Errorf("there is no %q in\n%s", want, out)
				}
			}
		})
	}
}

// TestPostRenderer stands between Helm and the cluster.
func TestPostRenderer(t *testing.T) {
	t.Parallel()
	exit, out, errs := run(t, "", "values", "--topology=packaged", "--chart-version=9.9")
	if exit != cli.Done {
		t.Fatal(errs)
	}
	values, kas := write(t, "values.yaml", base), write(t, "values.kas.yaml", out)
	good := releaseOf(t, "9.9", values, kas)
	exit, out, errs = run(t, good, "diff", "--post-renderer", "--topology=packaged")
	if exit != cli.Done || out != good {
		t.Errorf("exit code %d, %d bytes of %d\n%s", exit, len(out), len(good), errs)
	}
	// The same values without kasgen's: the controller's minute and megabyte.
	exit, out, errs = run(t, releaseOf(t, "9.9", write(t, "v.yaml", base+"global: {hosts: {kas: {name: kas.gitlab.example.com}}}\n")), "diff", "--post-renderer", "--topology=packaged")
	if exit != cli.Failure || out != "" || !strings.Contains(errs, "KAS6115") {
		t.Errorf("exit code %d\n%s\n%s", exit, out, errs)
	}
	// A version that has no gRPC is told so.
	exit, out, errs = run(t, "", "values", "--topology=packaged", "--chart-version=9.1")
	if exit != cli.Done {
		t.Fatal(errs)
	}
	old := releaseOf(t, "9.1", values, write(t, "values.kas.yaml", out))
	if exit, _, errs := run(t, old, "diff", "--post-renderer", "--topology=packaged"); exit != cli.Failure || !strings.Contains(errs, "KAS6114") {
		t.Errorf("exit code %d\n%s", exit, errs)
	}
	if exit, _, errs := run(t, old, "diff", "--post-renderer", "--topology=packaged", "--chart-version=9.1"); exit != cli.Done {
		t.Errorf("exit code %d\n%s", exit, errs)
	}
	if exit, _, _ := run(t, old, "diff", "--post-renderer", "--chart=x"); exit != cli.Misuse {
		t.Errorf("exit code %d", exit)
	}
}
