package ledger_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/omnibus/ledger"
)

// tree is what lies below a directory: modes and contents by path.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, text := path[len(root):], []byte("")
		if !e.IsDir() {
			text, err = os.ReadFile(path)
		}
		found[name] = info.Mode().String() + " " + string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// begin is a host, and the changes to it.
func begin(t *testing.T) (string, []ledger.Change) {
	t.Helper()
	root := t.TempDir()
	for name, mode := range map[string]fs.FileMode{"etc/kept": 0o600, "etc/gone": 0o640} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("old\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	return root, []ledger.Change{
		{Path: filepath.Join(root, "etc/kept"), Data: []byte("new\n"), Mode: 0o644},
		{Path: filepath.Join(root, "etc/gone"), Remove: true},
		{Path: filepath.Join(root, "opt/deep/fresh"), Data: []byte("fresh\n"), Mode: 0o644},
	}
}

func change(l ledger.Ledger, changes []ledger.Change) error {
	if err := l.Begin("note", changes); err != nil {
		return err
	}
	if err := l.Apply(changes); err != nil {
		return err
	}
	return l.Commit()
}

// TestEndedAtEveryWrite ends a run ahead of each thing that it does to the disk,
// and the one that recovers ahead of each of its own.
func TestEndedAtEveryWrite(t *testing.T) {
	t.Parallel()
	root, changes := begin(t)
	old := tree(t, root)
	if err := change(ledger.Ledger{Dir: filepath.Join(root, "etc/.undo")}, changes); err != nil {
		t.Fatal(err)
	}
	fresh := tree(t, root)
	if cmp.Equal(old, fresh) {
		t.Fatal("nothing changed")
	}
	for first := 0; ; first++ {
		firstEnded := false
		for second := 0; ; second++ {
			root, changes := begin(t)
			l := ledger.Ledger{Dir: filepath.Join(root, "etc/.undo")}
			firstEnded = ended(t, first, func(before func()) error {
				l.Before = before
				return change(l, changes)
			})
			secondEnded := ended(t, second, func(before func()) error {
				l.Before = before
				_, err := l.Recover(nil)
				return err
			})
			l.Before = nil
			if _, err := l.Recover(func(note string) error {
				if note != "note" {
					return errors.New("another note: " + note)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if got := tree(t, root); !cmp.Equal(old, got) && !cmp.Equal(fresh, got) {
				t.Fatalf("ended at %d and %d, neither old nor new:\n%s", first, second, cmp.Diff(old, got))
			}
			if !secondEnded {
				break
			}
		}
		if !firstEnded {
			if first < 10 {
				t.Errorf("it did only %d things", first)
			}
			return
		}
	}
}

// ended runs f until it has done so many things.
func ended(t *testing.T, survives int, f func(before func()) error) (ended bool) {
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
