package chart_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"sigs.k8s.io/yaml"

	"kasgen/chart"
	"kasgen/chart/charttest"
	"kasgen/chart/engine"
	"kasgen/internal/cli"
)

// TestPipelines runs the jobs of docs/ci.md as they stand there, and has each of
// them fail where it must.
func TestPipelines(t *testing.T) {
	t.Parallel()
	for name, script := range pipelines(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := repository(t)
			if out, err := job(t, dir, script); err == nil || !strings.Contains(out, "values.kas.yaml") {
				t.Errorf("values that are not the committed ones pass: %s", out)
			}
			git(t, dir, "commit", "-qam", "values")
			if out, err := job(t, dir, script); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			holds(t, filepath.Join(dir, "kas.xml"), ` failures="0"`)
			holds(t, filepath.Join(dir, "kas.diff"), "- Ingress gitlab-kas\n")
			write(t, dir, "gitlab.yaml", values+"gitlab: {kas: {service: {type: LoadBalancer}}}\n")
			if out, err := job(t, dir, script); err == nil {
				t.Errorf("a Service that shows every port passes: %s", out)
			}
			if faults := holds(t, filepath.Join(dir, "kas.xml"), "KAS6117"); strings.Contains(faults, "KAS6112") || strings.Contains(faults, "KAS6119") {
				t.Errorf("the edge's own address is not seen beside it: %s", faults)
			}
		})
	}
}

const (
	spec = `apiVersion: kasgen/v1
topology: B
gitlab: {url: https://gitlab.example.com}
names: {kas: kas.gitlab.example.com, grpc: kas-grpc.gitlab.example.com}
`
	values = `global: {hosts: {domain: example.com}}
certmanager-issuer: {email: ops@example.com}
`
)

// pipelines are the scripts of the jobs in docs/ci.md.
func pipelines(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../docs/ci.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)\n```\n").FindAllSubmatch(text, -1)
	if len(blocks) != 2 {
		t.Fatalf("docs/ci.md has %d pipelines, want 2", len(blocks))
	}
	var gitlab struct {
		Variables map[string]string
		KAS       struct{ Script []string }
	}
	var github struct {
		Jobs struct {
			KAS struct {
				Env   map[string]string
				Steps []struct{ Run string }
			}
		}
	}
	for i, to := range []any{&gitlab, &github} {
		if err := yaml.Unmarshal(blocks[i][1], to); err != nil {
			t.Fatal(err)
		}
	}
	var steps []string
	for _, s := range github.Jobs.KAS.Steps {
		steps = append(steps, s.Run)
	}
	return map[string]string{
		"GitLab": environment(gitlab.Variables) + strings.Join(gitlab.KAS.Script, "\n"),
		"GitHub": environment(github.Jobs.KAS.Env) + strings.Join(steps, "\n"),
	}
}

func environment(variables map[string]string) string {
	var lines strings.Builder
	for name, value := range variables {
		lines.WriteString("export " + name + "='" + value + "'\n")
	}
	return lines.String()
}

// repository is one with the files that a pipeline wants, and values of a
// topology that was.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	files, err := charttest.Files("9.9")
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Pack("gitlab", filepath.Join(dir, "gitlab-9.9.1.tgz"), files); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "kasgen.yaml", spec)
	write(t, dir, "gitlab.yaml", values)
	write(t, dir, "values.kas.yaml", "# of another topology\n")
	git(t, dir, "init", "-q")
	git(t, dir, "add", ".")
	git(t, dir, "commit", "-qm", "first")
	return dir
}

// job runs a script as the runners do: a line that fails ends it.
func job(t *testing.T, dir, script string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GITHUB_STEP_SUMMARY="+filepath.Join(t.TempDir(), "summary"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=ci", "-c", "user.email=ci@example.com"}, args...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v: %s", args[0], err, out)
	}
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, file, text string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(b), text) {
		t.Errorf("%s does not have %q: %v\n%s", filepath.Base(file), text, err, b)
	}
	return string(b)
}

// TestMain is kasgen, too, for scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"kasgen": func() {
			streams := cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
			os.Exit(cli.Run(context.Background(), cli.Root(streams, chart.Commands(streams)...), os.Args[1:])) //nolint:forbidigo // this function is a process's main
		},
	})
}
