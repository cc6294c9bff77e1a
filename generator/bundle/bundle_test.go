package bundle_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kasgen/generator/bundle"
	"kasgen/internal/diag"
	"kasgen/internal/lockfile"
)

// make2 is a bundle of two files that both hold word.
func make2(word string) *bundle.Bundle {
	b, err := bundle.New(lockfile.File{APIVersion: lockfile.APIVersion, Kind: lockfile.Kind, Kasgen: "1", Topology: "A",
		SpecDigest: lockfile.Digest(nil), StateDir: "/s", Development: []lockfile.Development{}},
		[]bundle.File{{Path: "z/one", Data: []byte(word + "\n")}, {Path: "a/two", Data: []byte(word + "\n")}})
	if err != nil {
		panic(err)
	}
	return b
}

func write(t *testing.T, b *bundle.Bundle, dir string, force bool) (*bundle.Comparison, error) {
	t.Helper()
	return b.Write(dir, force)
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func codes(err error) []string {
	fs, _ := errors.AsType[diag.Findings](err)
	var list []string
	for _, f := range fs {
		list = append(list, filepath.Base(f.File)+" "+f.Code)
	}
	return list
}

func TestWrite(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "deep", "bundle")
	c, err := write(t, make2("old"), dir, false)
	if err != nil || len(c.Changes) != 3 {
		t.Fatal(c, err)
	}
	if c, err = write(t, make2("old"), dir, false); err != nil || !c.Same() {
		t.Fatalf("a second time: %+v, %v", c, err)
	}
	if c, err = write(t, make2("new"), dir, false); err != nil || len(c.Changes) != 3 {
		t.Fatalf("a change: %+v, %v", c, err)
	}
	if got := read(t, dir, "z/one") + read(t, kept(dir, 1), "a/two") + read(t, kept(dir, 2), "a/two"); got != "new\nold\nnew\n" {
		t.Errorf("the directory and its generations are %q", got)
	}
	if d := cmp.Diff([]string{".bundle.generations", "bundle"}, names(t, filepath.Dir(dir))); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"000001", "000002", "lock"}, names(t, filepath.Dir(kept(dir, 1)))); d != "" {
		t.Error(d)
	}
}

// names lists a directory.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// kept is where a generation of dir lies.
func kept(dir string, n int) string {
	return filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+".generations", fmt.Sprintf("%06d", n))
}

func TestGuard(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(dir string) error
		want   []string
		force  bool // whether force overrules it
	}{
		"edited":          {func(d string) error { return os.WriteFile(filepath.Join(d, "a/two"), []byte("mine"), 0o644) }, []string{"two KAS1601"}, true},
		"mode":            {func(d string) error { return os.Chmod(filepath.Join(d, "a/two"), 0o600) }, []string{"two KAS1601"}, true},
		"extra":           {func(d string) error { return os.WriteFile(filepath.Join(d, "mine"), nil, 0o644) }, []string{"mine KAS1602"}, true},
		"broken manifest": {func(d string) error { return os.WriteFile(filepath.Join(d, lockfile.Name), []byte("x"), 0o644) }, []string{"bundle KAS1604"}, true},
		"foreign":         {func(d string) error { return os.Remove(filepath.Join(d, lockfile.Name)) }, []string{"bundle KAS1603"}, false},
		"missing":         {func(d string) error { return os.Remove(filepath.Join(d, "a/two")) }, nil, true},
		"missing and both": {func(d string) error {
			return errors.Join(os.Remove(filepath.Join(d, "a/two")), os.WriteFile(filepath.Join(d, "z/one"), nil, 0o644))
		}, []string{"one KAS1601"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "bundle")
			if _, err := write(t, make2("old"), dir, false); err != nil {
				t.Fatal(err)
			}
			if err := tc.change(dir); err != nil {
				t.Fatal(err)
			}
			c, err := make2("old").Compare(dir)
			if err != nil || c.Same() {
				t.Errorf("Compare sees no difference: %v", err)
			}
			_, err = write(t, make2("old"), dir, false)
			if d := cmp.Diff(tc.want, codes(err)); d != "" {
				t.Error(d)
			}
			if tc.want == nil {
				return
			}
			_, err = write(t, make2("new"), dir, true)
			if (err == nil) != tc.force {
				t.Errorf("with force: %v", err)
			}
			if tc.force && read(t, dir, "a/two") != "new\n" {
				t.Error("force did not replace")
			}
		})
	}
}

// TestForeignDirectory holds -o /etc to leaving /etc alone.
func TestForeignDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "passwd"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, force := range []bool{false, true} {
		if _, err := write(t, make2("x"), dir, force); len(codes(err)) != 1 {
			t.Error(err)
		}
	}
	if read(t, dir, "passwd") != "x" {
		t.Error("it was replaced")
	}
}

func TestDirectories(t *testing.T) {
	t.Parallel()
	t.Run("empty", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		if _, err := write(t, make2("x"), dir, false); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a link stays", func(t *testing.T) {
		t.Parallel()
		root := t.TempDir()
		link, real := filepath.Join(root, "link"), filepath.Join(root, "real")
		if err := errors.Join(os.Mkdir(real, 0o755), os.Symlink(real, link)); err != nil {
			t.Fatal(err)
		}
		if _, err := write(t, make2("x"), link, false); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 || read(t, real, "a/two") != "x\n" {
			t.Error("the link is gone")
		}
	})
	t.Run("a file", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := write(t, make2("x"), path, true); err == nil || read(t, filepath.Dir(path), "f") != "mine" {
			t.Error(err)
		}
	})
}

func TestDiff(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "bundle")
	if _, err := write(t, make2("old"), dir, false); err != nil {
		t.Fatal(err)
	}
	other, err := bundle.New(*make2("x").Lock, []bundle.File{{Path: "a/two", Data: []byte("new\n")}, {Path: "b", Data: []byte("b\n")}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := other.Compare(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := string(c.Diff())
	for _, want := range []string{"-old\n+new\n", "--- /dev/null\n+++ b/b\n", "--- a/z/one\n+++ /dev/null\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in:\n%s", want, got)
		}
	}
}

func TestDouble(t *testing.T) {
	t.Parallel()
	if _, err := bundle.New(lockfile.File{}, []bundle.File{{Path: "a"}, {Path: "a"}}); err == nil {
		t.Error("two files of one name")
	}
}

func TestTxtar(t *testing.T) {
	t.Parallel()
	a := txtar.Parse(make2("x").Txtar())
	var names []string
	for _, f := range a.Files {
		names = append(names, f.Name)
	}
	if d := cmp.Diff([]string{"a/two", "z/one", lockfile.Name}, names); d != "" {
		t.Error(d)
	}
}

// TestConcurrent holds writers to one at a time, the others to being told, and
// what is left to a whole bundle.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "bundle")
	inside, out := make(chan bool), make(chan bool)
	var wg sync.WaitGroup
	var first sync.Once
	wg.Go(func() {
		_, err := make2("first").WriteStepped(func() { first.Do(func() { close(inside); <-out }) }, false, dir, false)
		if err != nil {
			t.Error(err)
		}
	})
	<-inside
	if _, err := make2("second").Write(dir, false); fmt.Sprint(codes(err)) != "[bundle KAS1605]" || !strings.Contains(fmt.Sprintf("%+v", err), "somebody else") {
		t.Errorf("while another writes: %v", err)
	}
	if _, err := bundle.Rollback(dir, 0, false); fmt.Sprint(codes(err)) != "[bundle KAS1605]" {
		t.Errorf("while another writes: %v", err)
	}
	close(out)
	wg.Wait()
	for i := range 8 {
		wg.Go(func() {
			if _, err := make2(fmt.Sprint(i)).Write(dir, false); err != nil && fmt.Sprint(codes(err)) != "[bundle KAS1605]" {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	whole(t, dir)
}

// whole fails unless dir is exactly what its manifest says, both files of one
// bundle.
func whole(t *testing.T, dir string) {
	t.Helper()
	lock, err := lockfile.Read(lockfile.Name, []byte(read(t, dir, lockfile.Name)))
	if err != nil {
		t.Fatal(err)
	}
	d, err := lock.Verify(dir)
	if err != nil || !d.Empty() || read(t, dir, "a/two") != read(t, dir, "z/one") {
		t.Errorf("not whole: %+v, %v", d, err)
	}
}
