package chart_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kasgen/chart"
	"kasgen/chart/charttest"
	"kasgen/internal/cli"
	"kasgen/internal/cli/clitest"
	"kasgen/runtime"
)

// TestExtractedRuns takes the files out of every version's rendered objects and
// has them pass the demo's table, run by the embedded runtime.
func TestExtractedRuns(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("not with -short: it runs every operation through every topology and version")
	}
	kasgen := clitest.Build(t)
	for _, version := range charttest.Versions() {
		for _, topology := range []string{"packaged", "A", "B", "D"} {
			t.Run(version+"-"+topology, func(t *testing.T) {
				t.Parallel()
				runs(t, kasgen, version, topology, "keep")
			})
		}
	}
	for _, topology := range []string{"packaged", "A", "B", "D"} {
		t.Run("9.9-"+topology+"-grpc-only", func(t *testing.T) {
			t.Parallel()
			runs(t, kasgen, "9.9", topology, "remove")
		})
	}
}

func runs(t *testing.T, kasgen clitest.Program, version, topology, agents string) {
	t.Helper()
	dir := t.TempDir()
	values, bundle := filepath.Join(dir, "values.yaml"), filepath.Join(dir, "bundle")
	if err := os.WriteFile(values, []byte("certmanager-issuer: {email: a@example.com}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"chart", "verify", "--topology=" + topology, "--agents-websocket=" + agents, "--chart", charttest.Dir(t, version), "-f", values, "--extract", bundle}
	if topology != "packaged" {
		args = append(args, "--extras", "--issuer=letsencrypt")
	}
	for _, args := range [][]string{args, {"demo", "--bundle", bundle, "--once", "--registry=memory"}} {
		out, errs, code := kasgen.Run(t, args...)
		if code != cli.Done {
			t.Fatalf("%v: exit code %d\n%s\n%s", args, code, out, errs)
		}
		if args[0] == "demo" && !strings.Contains(out, " 0 fail") {
			t.Error(out)
		}
	}
}

// TestPodsFiles has the runtime look at what the edge's pod has mounted, as the
// pod does when it starts.
func TestPodsFiles(t *testing.T) {
	t.Parallel()
	for _, c := range charttest.Cases() {
		if c.Topology != "A" && c.Topology != "B" {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			spec, out, pod := filepath.Join(dir, "kasgen.yaml"), filepath.Join(dir, "extras"), filepath.Join(dir, "pod")
			if err := os.WriteFile(spec, []byte(c.KasgenYAML()), 0o600); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			streams := cli.IO{In: strings.NewReader(""), Out: &stdout, Err: &stderr}
			root := cli.Root(streams, append(chart.Commands(streams), runtime.Commands(streams)...)...)
			if code := cli.Run(t.Context(), root, append([]string{"chart", "extras", "-f", spec, "--chart-version", c.Version, "-o", out}, c.Args...)); code != cli.Done {
				t.Fatal(code, stderr.String())
			}
			for from, to := range map[string]string{"kasgen.lock.yaml": "kasgen.lock.yaml", "edge.yaml": "edge/edge.yaml", "certs.yaml": "certs/certs.yaml"} {
				data, err := os.ReadFile(filepath.Join(out, "files", from))
				if os.IsNotExist(err) && from == "certs.yaml" && !strings.Contains(c.Name, "acme") {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := os.MkdirAll(filepath.Dir(filepath.Join(pod, to)), 0o750); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(pod, to), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			stderr.Reset()
			root = cli.Root(streams, runtime.Commands(streams)...)
			if code := cli.Run(t.Context(), root, []string{"run", pod, "--role", "edge", "--check", "--state", filepath.Join(dir, "state")}); code != cli.Done {
				t.Errorf("%d\n%s\n%s", code, stdout.String(), stderr.String())
			}
		})
	}
}
