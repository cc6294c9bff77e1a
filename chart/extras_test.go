package chart

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kasgen/chart/charttest"
	"kasgen/chart/engine"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
)

var update = flag.Bool("update", false, "write golden files anew")

var code = regexp.MustCompile(`warning: (KAS\d+)`)

// TestExtras renders the extras of every case by Helm, compares them, and
// verifies them together with the release that they stand beside.
func TestExtras(t *testing.T) {
	t.Parallel()
	for _, c := range charttest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			if c.Name == "packaged-alb" {
				// One name, which an ALB cannot read as HTTP/1.1 and as gRPC.
				code, _, errs := run(t, "", append([]string{"verify", "--extras", "--spec", write(t, "kasgen.yaml", c.KasgenYAML()), "--chart", charttest.Dir(t, c.Version), "-f", write(t, "v.yaml", base)}, c.Args...)...)
				if code != cli.Failure || !strings.Contains(errs, "gRPC is HTTP/2") {
					t.Errorf("%d\n%s", code, errs)
				}
				return
			}
			tgz := filepath.Join(t.TempDir(), "extras.tgz")
			exit, _, errs := run(t, "", append([]string{"extras", "-f", write(t, "kasgen.yaml", c.KasgenYAML()), "--chart-version", c.Version, "-o", tgz}, c.Args...)...)
			if exit != cli.Done {
				t.Fatalf("%d\n%s", exit, errs)
			}
			compare(t, c.Name, tgz)
			exit, out, errs := run(t, "", append([]string{"verify", "--extras", "--spec", write(t, "kasgen.yaml", c.KasgenYAML()), "--chart", charttest.Dir(t, c.Version), "-f", write(t, "v.yaml", base)}, c.Args...)...)
			var warned []string
			for _, m := range code.FindAllStringSubmatch(errs, -1) {
				if len(warned) == 0 || warned[len(warned)-1] != m[1] {
					warned = append(warned, m[1])
				}
			}
			if diff := cmp.Diff(c.Warn, warned); exit != cli.Done || diff != "" || !strings.Contains(out, "the topology holds") {
				t.Errorf("exit code %d\n%s\n%s\n%s", exit, out, errs, diff)
			}
		})
	}
}

// compare renders a packaged chart and compares it with its golden file.
func compare(t *testing.T, name, tgz string) {
	t.Helper()
	c, err := engine.Load(tgz)
	if err != nil {
		t.Fatal(err)
	}
	var findings diag.Findings
	r := release{name: ExtrasRelease, namespace: "gitlab"}
	files, objects, err := r.objects(c, nil, &findings)
	if err != nil || len(findings) > 0 || len(objects) == 0 {
		t.Fatal(err, findings)
	}
	var archive txtar.Archive
	for _, f := range files {
		archive.Files = append(archive.Files, txtar.File{Name: f.Name, Data: append(bytes.TrimSpace([]byte(f.Text)), '\n')})
	}
	got := txtar.Format(&archive)
	golden := filepath.Join("extras", "testdata", name+".txtar")
	if *update {
		if err := os.WriteFile(golden, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
}

// TestExtrasRefused has what a provider cannot do.
func TestExtrasRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		topology, spec, code string
		args                 []string
	}{
		{"packaged", "", "KAS6205", nil},
		{"A", "loadBalancer: {kind: external-tcp, proxyProtocol: v2}\n", "KAS6201", []string{"--provider=gke"}},
		{"A", "loadBalancer: {kind: external-tcp, proxyProtocol: v1}\n", "KAS6201", []string{"--provider=aws"}},
		{"A", charttest.BalancerTLS, "KAS6202", []string{"--provider=azure"}},
		{"A", charttest.BalancerTLS, "KAS6203", []string{"--provider=aws"}},
		{"D", charttest.ACME, "KAS6203", nil},
		{"D", "", "KAS6203", []string{"--routes=alb"}},
		{"D", "", "KAS6203", []string{"--routes=gke-gateway"}},
		{"D", "", "KAS6204", []string{"--routes=gke-ingress"}},
		{"B", "", "KAS6204", []string{"--routes=gke-ingress"}},
		{"A", "", "KAS6204", []string{"--kas-tls-secret=s"}},
		{"A", "", "KAS6206", []string{"--passthrough-gateway"}},
	} {
		t.Run(tt.topology+strings.Join(tt.args, ""), func(t *testing.T) {
			t.Parallel()
			c := charttest.Case{Topology: tt.topology, Spec: tt.spec}
			out := filepath.Join(t.TempDir(), "extras")
			exit, _, errs := run(t, "", append([]string{"extras", "-f", write(t, "kasgen.yaml", c.KasgenYAML()), "--chart-version=9.9", "-o", out}, tt.args...)...)
			if exit != cli.Failure || !strings.Contains(errs, "error: "+tt.code) {
				t.Errorf("%d\n%s", exit, errs)
			}
			if _, err := os.Stat(out); err == nil {
				t.Error("something was written")
			}
		})
	}
}

// TestExtrasSchema gives the extras values that they do not take.
func TestExtrasSchema(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "extras")
	if exit, _, errs := run(t, "", "extras", "--topology=A", "--chart-version=9.9", "-o", dir); exit != cli.Done {
		t.Fatal(errs)
	}
	c, err := engine.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, values := range []map[string]any{
		{"provider": "openstack"},
		{"edge": map[string]any{"replicas": 0}},
		{"service": map[string]any{"proxyProtocl": "v2"}},
		{"names": map[string]any{"kas": "https://kas.example.com"}},
	} {
		if _, err := c.Render(engine.Release{Name: "r", Namespace: "n"}, values); err == nil || !strings.Contains(err.Error(), "schema") {
			t.Errorf("%v: %v", values, err)
		}
	}
}

// TestExtrasDirectory writes over older extras, and over nothing else.
func TestExtrasDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "extras")
	for _, topology := range []string{"A", "D"} {
		if exit, _, errs := run(t, "", "extras", "--topology="+topology, "--chart-version=9.9", "-o", dir); exit != cli.Done {
			t.Fatal(errs)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "files")); err == nil {
		t.Error("the edge's files of topology A are still there")
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "Chart.yaml"), []byte("name: other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if exit, _, errs := run(t, "", "extras", "--topology=A", "--chart-version=9.9", "-o", other); exit != cli.Failure || !strings.Contains(errs, "another directory") {
		t.Error(exit, errs)
	}
}
