package omnibus

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/cli"
)

// killedScene is a host, and a run that changes it.
type killedScene struct {
	before func(t *testing.T, root string)
	run    func(h host) error
}

func quiet() cli.IO { return cli.IO{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard} }

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

const killedSpec = "apiVersion: kasgen/v1\ntopology: A\ngitlab: {url: https://gitlab.example.com}\nnames: {kas: kas.gitlab.example.com}\n"

func bare(t *testing.T, root string) {
	t.Helper()
	put(t, filepath.Join(root, gitlabFile), "external_url 'https://gitlab.example.com'\n")
	put(t, filepath.Join(root, specFile), killedSpec)
}

func install(h host) error {
	i := installation{options: options{host: h, version: "18.11", binary: "/usr/local/bin/kasgen"}, streams: quiet(), yes: true}
	return i.run(context.Background())
}

func alreadyInstalled(t *testing.T, root string) {
	t.Helper()
	bare(t, root)
	if err := install(host{root: root}); err != nil {
		t.Fatal(err)
	}
}

// TestKilledAtEveryWrite ends install, a reconfigure and uninstall ahead of each
// thing that they do to the disk themselves; the bundle's own writing is held to
// the same by its own tests. The next run puts things in order, and then
// everything is as it was or as it was to be.
func TestKilledAtEveryWrite(t *testing.T) {
	t.Parallel()
	for name, scene := range map[string]killedScene{
		"install": {bare, install},
		"reconfigure": {func(t *testing.T, root string) {
			alreadyInstalled(t, root)
			put(t, filepath.Join(root, specFile), strings.Replace(killedSpec, "topology: A", "topology: D", 1))
		}, func(h host) error {
			r := reconfiguration{options: options{host: h, version: "18.11", binary: "/usr/local/bin/kasgen"}, streams: quiet(), hook: "pre"}
			return r.run(context.Background())
		}},
		"uninstall": {alreadyInstalled, func(h host) error {
			return (&removal{options: options{host: h}, streams: quiet()}).run(context.Background())
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			scene.before(t, root)
			old := files(t, root)
			if err := scene.run(host{root: root}); err != nil {
				t.Fatal(err)
			}
			fresh := files(t, root)
			for survives := 0; ; survives++ {
				root := t.TempDir()
				scene.before(t, root)
				dead := endedAfter(t, survives, func(before func()) error { return scene.run(host{root: root, before: before}) })
				if _, err := (host{root: root}).recover(); err != nil {
					t.Fatalf("after %d operations: %v", survives, err)
				}
				got := files(t, root)
				if !cmp.Equal(old, got) && !cmp.Equal(fresh, got) {
					t.Fatalf("after %d operations, neither old nor new; as against old:\n%s\nas against new:\n%s", survives, cmp.Diff(old, got), cmp.Diff(fresh, got))
				}
				if !dead {
					if survives < 8 || cmp.Equal(old, got) {
						t.Errorf("it did %d things", survives)
					}
					return
				}
				// And the run does what it was to do, when it is run again.
				if err := scene.run(host{root: root}); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(fresh, files(t, root)); d != "" {
					t.Fatalf("after %d operations, run again:\n%s", survives, d)
				}
			}
		})
	}
}

// files are what a host holds for programs to read: not the generations that
// are kept, nor empty folders.
func files(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, root)
		if e.IsDir() {
			if strings.HasSuffix(name, ".kasgen.generations") {
				return fs.SkipDir
			}
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		found[name] = info.Mode().String() + " " + string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// endedAfter runs f until it has done so many things.
func endedAfter(t *testing.T, survives int, f func(before func()) error) (ended bool) {
	t.Helper()
	type end struct{}
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(end); !ok {
				panic(r)
			}
			ended = true
		}
	}()
	if err := f(func() {
		if survives == 0 {
			panic(end{})
		}
		survives--
	}); err != nil {
		t.Fatal(err)
	}
	return false
}
