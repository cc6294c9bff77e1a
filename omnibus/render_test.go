package omnibus_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kasgen/omnibus/omnibustest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden renders each kasgen.yaml for the versions named in the archive's
// comment, and holds the files and what Omnibus makes of them to the archive.
// gitlab.rb, where there is one, is what the user has written before.
func TestGolden(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/render/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("no archives", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			in := map[string][]byte{}
			got := &txtar.Archive{Comment: a.Comment}
			for _, f := range a.Files {
				if f.Name == "kasgen.yaml" || f.Name == "gitlab.rb" {
					in[f.Name] = f.Data
					got.Files = append(got.Files, f)
				}
			}
			version := strings.TrimPrefix(strings.SplitN(string(a.Comment), "\n", 2)[0], "GitLab ")
			b, said := omnibustest.Render(t, in["kasgen.yaml"], version)
			if said != "" {
				got.Files = append(got.Files, txtar.File{Name: "findings", Data: []byte(said + "\n")})
			}
			if b != nil {
				for _, f := range b.Files {
					got.Files = append(got.Files, txtar.File{Name: "out/" + f.Path, Data: f.Data})
				}
				root := t.TempDir()
				preset := "external_url 'https://gitlab.example.com'\n" + string(in["gitlab.rb"])
				omnibustest.Place(t, root, b, preset+omnibustest.Line)
				once, err := omnibustest.Resolved(t, version, root)
				if err != nil {
					t.Fatal(err)
				}
				got.Files = append(got.Files, txtar.File{Name: "resolved.json", Data: []byte(once)})
				// Reading it twice, as when Docker's variable names it as well,
				// adds nothing.
				omnibustest.Place(t, root, b, preset+omnibustest.Line+omnibustest.Line)
				twice, err := omnibustest.Resolved(t, version, root)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(once, twice); d != "" {
					t.Errorf("reading the file twice makes a difference:\n%s", d)
				}
			}
			if *update {
				if err := os.WriteFile(path, txtar.Format(got), 0o644); err != nil {
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
