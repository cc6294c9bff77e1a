package omnibus_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kasgen/generator"
	"kasgen/generator/bundle"
	"kasgen/generator/spec"
	"kasgen/internal/diag"
	"kasgen/omnibus"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// render is what is rendered for a version of the package, or what is found.
func render(t *testing.T, text []byte, version string) (*bundle.Bundle, string) {
	t.Helper()
	s, findings := spec.ReadFor(omnibus.Defaults, "kasgen.yaml", text, nil)
	if s == nil {
		return nil, findings.Error()
	}
	v, err := omnibus.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	b, more, err := generator.RenderFor(omnibus.Name, s, spec.Places("kasgen.yaml", text, nil), func(f generator.Facts) ([]bundle.File, diag.Findings, error) {
		return omnibus.Render(f, omnibus.Of(v))
	})
	if err != nil {
		t.Fatal(err)
	}
	all := append(findings, more...)
	said := ""
	if len(all) > 0 {
		said = all.Error()
	}
	return b, said
}

// place writes a bundle where Omnibus finds it below root.
func place(t *testing.T, root string, b *bundle.Bundle, gitlabRb string) {
	t.Helper()
	for _, f := range b.All() {
		write(t, filepath.Join(root, "etc/gitlab/kasgen", f.Path), string(f.Data))
	}
	write(t, filepath.Join(root, "etc/gitlab/gitlab.rb"), gitlabRb)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// ruby finds Ruby, or skips the test where nobody promised it.
func ruby(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("ruby")
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal("ruby is not there: install Debian's ruby (`make tools`)")
	default:
		t.Skip("ruby is not there: install Debian's ruby (`make tools`)")
	}
	return path
}

// resolved is what the stand-in of Omnibus makes of the gitlab.rb below each
// root, as one JSON text after the other.
func resolved(t *testing.T, version string, roots ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, ruby(t), append([]string{"testdata/standin/gitlab_rb.rb", version}, roots...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", errors.New(errs.String())
	}
	return out.String(), nil
}

const line = "\nfrom_file '/etc/gitlab/kasgen/kasgen.rb'\n"

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
			b, said := render(t, in["kasgen.yaml"], version)
			if said != "" {
				got.Files = append(got.Files, txtar.File{Name: "findings", Data: []byte(said + "\n")})
			}
			if b != nil {
				for _, f := range b.Files {
					got.Files = append(got.Files, txtar.File{Name: "out/" + f.Path, Data: f.Data})
				}
				root := t.TempDir()
				preset := "external_url 'https://gitlab.example.com'\n" + string(in["gitlab.rb"])
				place(t, root, b, preset+line)
				once, err := resolved(t, version, root)
				if err != nil {
					t.Fatal(err)
				}
				got.Files = append(got.Files, txtar.File{Name: "resolved.json", Data: []byte(once)})
				// Reading it twice, as when Docker's variable names it as well,
				// adds nothing.
				place(t, root, b, preset+line+line)
				twice, err := resolved(t, version, root)
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
