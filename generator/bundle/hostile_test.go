package bundle_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kasgen/generator/bundle"
)

// TestHostile holds directories that people, programs and accidents have had
// their hands in to being told of, replaced by force alone, and kept.
func TestHostile(t *testing.T) {
	t.Parallel()
	in := func(names ...string) func(dir string) string {
		return func(dir string) string { return filepath.Join(append([]string{dir}, names...)...) }
	}
	manifest, one, folder := in("kasgen.lock.yaml"), in("z", "one"), in("z")
	for name, tc := range map[string]struct {
		change func(dir string) error
		want   string // the findings of a write without force
	}{
		"a link for a file": {func(d string) error {
			return errors.Join(os.Remove(one(d)), os.Symlink("../../outside", one(d)))
		}, "[one KAS1601]"},
		"a link to nothing": {func(d string) error { return errors.Join(os.Remove(one(d)), os.Symlink("nowhere", one(d))) }, "[one KAS1601]"},
		"a link to itself":  {func(d string) error { return errors.Join(os.Remove(one(d)), os.Symlink("one", one(d))) }, "[one KAS1601]"},
		"a link for a folder": {func(d string) error {
			return errors.Join(os.RemoveAll(folder(d)), os.Symlink("a", folder(d)))
		}, "[z KAS1602]"},
		"a folder for a file": {func(d string) error { return errors.Join(os.Remove(one(d)), os.Mkdir(one(d), 0o755)) }, "[]"},
		"a full folder for a file": {func(d string) error {
			return errors.Join(os.Remove(one(d)), os.Mkdir(one(d), 0o755), os.WriteFile(one(d)+"/x", nil, 0o600))
		}, "[x KAS1602]"},
		"a file for a folder": {func(d string) error {
			return errors.Join(os.RemoveAll(folder(d)), os.WriteFile(folder(d), []byte("x"), 0o600))
		}, "[z KAS1602]"},
		"a pipe for a file":         {func(d string) error { return errors.Join(os.Remove(one(d)), syscall.Mkfifo(one(d), 0o644)) }, "[one KAS1601]"},
		"a pipe besides":            {func(d string) error { return syscall.Mkfifo(in("pipe")(d), 0o644) }, "[pipe KAS1602]"},
		"a pipe for the manifest":   {func(d string) error { return errors.Join(os.Remove(manifest(d)), syscall.Mkfifo(manifest(d), 0o644)) }, "[bundle KAS1604]"},
		"a folder for the manifest": {func(d string) error { return errors.Join(os.Remove(manifest(d)), os.Mkdir(manifest(d), 0o755)) }, "[bundle KAS1604]"},
		"a link for the manifest": {func(d string) error {
			return errors.Join(os.Rename(manifest(d), in("real")(d)), os.Symlink("real", manifest(d)))
		}, "[bundle KAS1604]"},
		"a huge manifest": {func(d string) error { return os.Truncate(manifest(d), 3<<20) }, "[bundle KAS1604]"},
		"a huge file":     {func(d string) error { return os.Truncate(one(d), 3<<20) }, "[one KAS1601]"},
		"an odd name":     {func(d string) error { return os.WriteFile(in("\xff\n-- a --")(d), []byte("x"), 0o600) }, "[\xff\n-- a -- KAS1602]"},
		"a manifest that names what is outside": {func(d string) error {
			return os.WriteFile(manifest(d), []byte(strings.Replace(read(t, d, "kasgen.lock.yaml"), "z/one", "../../x", 1)), 0o644)
		}, "[bundle KAS1604]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "bundle")
			put(t, filepath.Join(filepath.Dir(dir), "outside"), "outside\n")
			if _, err := make2("old").Write(dir, false); err != nil {
				t.Fatal(err)
			}
			if err := tc.change(dir); err != nil {
				t.Fatal(err)
			}
			before := picture(t, dir)
			c, err := make2("new").Compare(dir)
			if err != nil {
				t.Fatal(err)
			}
			c.Diff()
			_, err = make2("new").Write(dir, false)
			if got := fmt.Sprint(codes(err)); got != tc.want {
				t.Fatalf("%s, want %s: %v", got, tc.want, err)
			}
			if tc.want != "[]" && picture(t, dir) != before {
				t.Fatal("it was changed all the same")
			}
			if _, err := make2("new").Write(dir, true); err != nil {
				t.Fatal(err)
			}
			whole(t, dir)
			if got := read(t, filepath.Dir(dir), "outside"); got != "outside\n" {
				t.Errorf("what a link led to is %q", got)
			}
			h, err := bundle.Generations(dir)
			if err != nil || h.Interrupted || !h.Generations[len(h.Generations)-1].Current {
				t.Fatalf("%+v, %v", h, err)
			}
			everything(t, before, dir, h)
			if _, err := bundle.Rollback(dir, 1, false); err != nil {
				t.Fatal(err)
			}
			if whole(t, dir); read(t, dir, "z/one") != "old\n" {
				t.Error("it was not rolled back")
			}
		})
	}
}

// everything fails unless each thing that was in a directory is in one of its
// generations. Empty folders are nothing.
func everything(t *testing.T, before, dir string, h *bundle.History) {
	t.Helper()
	var all strings.Builder
	for _, g := range h.Generations {
		all.WriteString(picture(t, kept(dir, g.Number)))
	}
	for line := range strings.Lines(before) {
		if !strings.Contains(all.String(), line) {
			t.Errorf("%q is lost", line)
		}
	}
}

// picture is everything in a directory, with what it is.
func picture(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if e.IsDir() || err != nil {
			return err
		}
		fmt.Fprintf(&b, "%q %s", name, info.Mode())
		if info.Mode().IsRegular() {
			fmt.Fprintf(&b, " %d", info.Size())
		}
		if to, err := os.Readlink(path); err == nil {
			fmt.Fprintf(&b, " %q", to)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestPlaces holds what is no place for a bundle to a clear word.
func TestPlaces(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		dir  func(t *testing.T, root string) string
		want string
	}{
		"a file":            {func(t *testing.T, root string) string { put(t, root+"/f", "x"); return root + "/f" }, "is not a directory"},
		"below a file":      {func(t *testing.T, root string) string { put(t, root+"/f", "x"); return root + "/f/b" }, "not a directory"},
		"a link to nothing": {func(t *testing.T, root string) string { link(t, "nowhere", root+"/l"); return root + "/l" }, "is a link to something that does not exist"},
		"a link to a file": {func(t *testing.T, root string) string {
			put(t, root+"/f", "x")
			link(t, "f", root+"/l")
			return root + "/l"
		}, "is not a directory"},
		"links in a circle":     {func(t *testing.T, root string) string { link(t, "l", root+"/l"); return root + "/l" }, "too many links"},
		"the root":              {func(*testing.T, string) string { return "/" }, "has no name of its own"},
		"a file of generations": {func(t *testing.T, root string) string { put(t, root+"/.b.generations", "x"); return root + "/b" }, "not a directory"},
		"a folder for the lock": {func(t *testing.T, root string) string {
			if err := os.MkdirAll(root+"/.b.generations/lock", 0o755); err != nil {
				t.Fatal(err)
			}
			return root + "/b"
		}, "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			dir := tc.dir(t, root)
			before := picture(t, root)
			_, err := make2("x").Write(dir, true)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
			if _, err := bundle.Rollback(dir, 0, true); err == nil {
				t.Error("it was rolled back")
			}
			if after := picture(t, root); after != before {
				t.Errorf("%s became %s", before, after)
			}
		})
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

// FuzzDirectory changes a bundle at random and holds comparisons to ending,
// writes to whole bundles, and everything that was there to being kept.
func FuzzDirectory(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Add([]byte("links and pipes and folders"))
	f.Fuzz(func(t *testing.T, program []byte) {
		dir := filepath.Join(scratch(t), "bundle")
		if _, err := make2("old").Write(dir, false); err != nil {
			t.Fatal(err)
		}
		names := []string{"z", "z/one", "a", "a/two", "kasgen.lock.yaml", "x", "z/one/x"}
		for i := 0; i+1 < len(program) && i < 20; i += 2 {
			path := filepath.Join(dir, names[int(program[i])%len(names)])
			other := names[int(program[i]/8)%len(names)]
			if info, err := os.Lstat(filepath.Dir(path)); err != nil || !info.IsDir() {
				continue // opening a folder that is a pipe waits for ever
			}
			// Some of these fail, where something is there or is not.
			switch program[i+1] % 8 {
			case 0:
				_ = os.RemoveAll(path)
			case 1:
				_ = os.Mkdir(path, 0o755)
			case 2:
				_ = errors.Join(os.Remove(path), os.WriteFile(path, program, 0o644))
			case 3:
				_ = os.Symlink(other, path)
			case 4:
				_ = syscall.Mkfifo(path, 0o644)
			case 5:
				_ = os.Rename(path, filepath.Join(dir, other))
			case 6:
				_ = os.Chmod(path, 0o750)
			case 7:
				_ = errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600))
			}
		}
		before := picture(t, dir)
		if c, err := make2("new").Compare(dir); err != nil {
			t.Fatal(err)
		} else {
			c.Diff()
		}
		_, err := make2("new").Write(dir, false)
		if err != nil && picture(t, dir) != before {
			t.Errorf("it was refused and changed: %v", err)
		}
		if err != nil {
			if len(codes(err)) == 0 {
				t.Fatal(err)
			}
			if _, err = bundle.Rollback(dir, 1, true); err != nil {
				t.Fatal(err)
			}
		}
		whole(t, dir)
		h, err := bundle.Generations(dir)
		if err != nil || h.Interrupted {
			t.Fatalf("%+v, %v", h, err)
		}
		everything(t, before, dir, h)
	})
}
