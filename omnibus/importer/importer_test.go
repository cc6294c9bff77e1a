package importer

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kasgen/generator/spec"
	"kasgen/internal/nginxconf"
)

var update = flag.Bool("update", false, "write golden files anew")

// TestDescribe reads settings and compares the whole description; each
// kasgen.yaml is one that kasgen itself takes.
func TestDescribe(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var tree map[string]any
			if err := json.Unmarshal(archive.Files[0].Data, &tree); err != nil {
				t.Fatal(err)
			}
			d, err := Describe(lookup(tree), onDisk(archive))
			described(t, path, archive, d, err)
		})
	}
}

// described holds a description, or why there is none, to the rest of an
// archive.
func described(t *testing.T, path string, archive *txtar.Archive, d Description, err error) {
	t.Helper()
	var got []txtar.File
	for i, f := range archive.Files {
		if i == 0 || strings.HasPrefix(f.Name, "/") {
			got = append(got, f)
		}
	}
	if err != nil {
		got = append(got, txtar.File{Name: "error", Data: []byte(err.Error() + "\n")})
	} else {
		text, err := d.YAML()
		if err != nil {
			t.Fatal(err)
		}
		s, findings := spec.Read("kasgen.yaml", text, nil)
		if s == nil {
			t.Errorf("kasgen does not take it: %v\n%s", findings, text)
		}
		var lost strings.Builder
		for _, l := range d.Lost {
			if l.Warning {
				lost.WriteString("warning: ")
			}
			fmt.Fprintf(&lost, "%s: %s\n  fix: %s\n", l.Key, l.Why, l.Fix)
		}
		got = append(got, txtar.File{Name: "kasgen.yaml", Data: text}, txtar.File{Name: "lost", Data: []byte(lost.String())})
	}
	if *update {
		if err := os.WriteFile(path, txtar.Format(&txtar.Archive{Comment: archive.Comment, Files: got}), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(archive.Files, got); diff != "" {
		t.Error(diff)
	}
}

// TestDescribeVhost is the same for nginx's files; GitLab's URL is the comment.
func TestDescribeVhost(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/vhost/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := nginxconf.Parse("kas.conf", archive.Files[0].Data)
			if err != nil {
				t.Fatal(err)
			}
			d, err := DescribeVhost(f, strings.TrimSpace(string(archive.Comment)))
			described(t, path, archive, d, err)
		})
	}
}

// onDisk are those of nginx's in an archive.
func onDisk(a *txtar.Archive) nginxconf.Source {
	return nginxconf.Source{
		ReadFile: func(path string) ([]byte, error) {
			for _, f := range a.Files {
				if f.Name == path {
					return f.Data, nil
				}
			}
			return nil, fs.ErrNotExist
		},
		Glob: func(pattern string) ([]string, error) {
			var found []string
			for _, f := range a.Files {
				if ok, err := filepath.Match(pattern, f.Name); err != nil {
					return nil, err
				} else if ok {
					found = append(found, f.Name)
				}
			}
			return found, nil
		},
	}
}

func lookup(tree map[string]any) Settings {
	return func(key ...string) any {
		var v any = tree
		for _, k := range key {
			m, ok := v.(map[string]any)
			if !ok {
				return nil
			}
			v = m[k]
		}
		return v
	}
}
