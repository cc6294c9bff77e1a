package generator_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kasgen/generator"
	"kasgen/generator/spec"
	"kasgen/internal/certsconf"
	"kasgen/internal/edgeconf"
	"kasgen/internal/kasconf"
	"kasgen/internal/lockfile"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// rendered is the bundle of a kasgen.yaml's text.
func rendered(t testing.TB, text string) *txtar.Archive {
	t.Helper()
	s, findings := spec.Read("kasgen.yaml", []byte(text), nil)
	if findings.Failed() {
		t.Fatal(findings)
	}
	b, err := generator.Render(s)
	if err != nil {
		t.Fatal(err)
	}
	return txtar.Parse(b.Txtar())
}

// goldens are the kasgen.yaml files in testdata with what is rendered from
// them.
func goldens(t testing.TB) []string {
	files, err := filepath.Glob("testdata/render/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no goldens", err)
	}
	return files
}

const specName = "kasgen.yaml"

// TestGolden holds rendering to whole files: kasgen.yaml first, then the
// bundle.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, file := range goldens(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if a.Files[0].Name != specName {
				t.Fatalf("%s does not begin with %s", file, specName)
			}
			got := rendered(t, string(a.Files[0].Data))
			got.Comment = a.Comment
			got.Files = slices.Insert(got.Files, 0, a.Files[0])
			if *update {
				if err := os.WriteFile(file, txtar.Format(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(txtar.Format(a)), string(txtar.Format(got))); d != "" {
				t.Errorf("rewrite with -update if this is meant:\n%s", d)
			}
		})
	}
}

// TestReadable holds every rendered file to the reader of its format, and
// kas-config.yaml to the law that its first comment is about.
func TestReadable(t *testing.T) {
	t.Parallel()
	for _, file := range goldens(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, findings := spec.Read(specName, a.Files[0].Data, nil)
			if findings.Failed() {
				t.Fatal(findings)
			}
			for _, f := range rendered(t, string(a.Files[0].Data)).Files {
				var err error
				switch f.Name {
				case "edge/edge.yaml":
					_, err = edgeconf.Read(f.Name, f.Data)
				case "certs/certs.yaml":
					_, err = certsconf.Read(f.Name, f.Data)
				case lockfile.Name:
					_, err = lockfile.Read(f.Name, f.Data)
				case "kas/kas-config.yaml":
					var k *kasconf.File
					if k, err = kasconf.Read(f.Name, f.Data); err != nil {
						break
					}
					version, parseErr := kasconf.ParseVersion(s.KAS.Version)
					if parseErr != nil {
						t.Fatal(parseErr)
					}
					refused := len(k.CheckGitLab(version)) > 0
					if says := bytes.HasPrefix(f.Data, []byte("# GitLab's kas would refuse")); says != refused {
						t.Errorf("GitLab's kas refuses: %v; the first comment says so: %v", refused, says)
					}
					if refused && s.KAS.Kind == spec.KASGitLab {
						t.Error(k.CheckGitLab(version))
					}
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestDeterminism holds rendering to the same bytes each time.
func TestDeterminism(t *testing.T) {
	t.Parallel()
	want := txtar.Format(rendered(t, spec.Example))
	for range 20 {
		if d := cmp.Diff(string(want), string(txtar.Format(rendered(t, spec.Example)))); d != "" {
			t.Fatal(d)
		}
	}
	// The order of nodes in the spec means nothing.
	two := spec.Example + "kas: {redis: {address: 'r:1'}, listen: {privateAPI: '10.0.0.1:8155'}}\nedge: {listen: ':9443'}\nloadBalancer: {nodes: [%]}\n"
	a := rendered(t, strings.Replace(two, "%", "'10.0.0.1:9443', '10.0.0.2:9443'", 1))
	b := rendered(t, strings.Replace(two, "%", "'10.0.0.2:9443', '10.0.0.1:9443'", 1))
	for i, f := range a.Files {
		if f.Name != lockfile.Name && !bytes.Equal(f.Data, b.Files[i].Data) {
			t.Errorf("%s depends on the order of nodes", f.Name)
		}
	}
}

// BenchmarkRender is one `kasgen render`: decode, check, render, format. The
// goal is 50 ms.
func BenchmarkRender(b *testing.B) {
	for b.Loop() {
		rendered(b, spec.Example)
	}
	b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms/op")
	b.ReportMetric(50, "goal-ms/op")
}
