package bundle_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"kasgen/generator/bundle"
)

// killed is set in the processes that TestKilled kills: a victim in JSON.
const killed = "KASGEN_TEST_VICTIM"

func TestMain(m *testing.M) {
	if text := os.Getenv(killed); text != "" {
		var v victim
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			panic(err) // ends the process that the test started
		}
		if err := v.run(func() {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}); err != nil {
			panic(err)
		}
		return
	}
	m.Run()
}

// victim is one write that ends ahead of an operation.
type victim struct {
	Dir      string
	Word     string // what is written; "" is a rollback to the first generation
	Renames  bool   // without exchanging directories
	Survives int    // operations that it lives to see
}

func (v victim) run(kill func()) error {
	step := func() {
		if v.Survives == 0 {
			kill()
		}
		v.Survives--
	}
	var err error
	if v.Word == "" {
		_, err = bundle.RollbackStepped(step, v.Renames, v.Dir, 1, true)
	} else {
		_, err = make2(v.Word).WriteStepped(step, v.Renames, v.Dir, true)
	}
	return err
}

// die runs the victim in a process of its own and says whether it was killed.
func (v victim) die(t *testing.T) bool {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), killed+"="+string(text), "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = &stderr
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL { //nolint:forcetypeassert // on every system that has SIGKILL
		return true
	}
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	return false
}

// stop runs the victim in this process and ends it by a panic, which runs
// nothing of what a SIGKILL would not run either: a write cleans up by what it
// does next, never by what it defers.
func (v victim) stop(t *testing.T) (stopped bool) {
	t.Helper()
	type end struct{}
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(end); !ok {
				panic(r)
			}
			stopped = true
		}
	}()
	if err := v.run(func() { panic(end{}) }); err != nil {
		t.Fatal(err)
	}
	return false
}

// scenes are the states in which a write begins.
func scenes() map[string]struct {
	before func(t *testing.T, dir string)
	word   string
	edited bool
} {
	written := func(words ...string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			for _, word := range words {
				if _, err := make2(word).Write(dir, false); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	edit := func(t *testing.T, dir string) {
		written("old")(t, dir)
		put(t, filepath.Join(dir, "mine"), "precious\n")
	}
	return map[string]struct {
		before func(t *testing.T, dir string)
		word   string
		edited bool
	}{
		"the first":       {written(), "new", false},
		"the second":      {written("old"), "new", false},
		"the eleventh":    {written("1", "2", "3", "4", "5", "6", "7", "8", "9", "old"), "new", false},
		"over an edit":    {edit, "new", true},
		"a rollback":      {written("new", "old"), "", false},
		"rollback edited": {func(t *testing.T, dir string) { written("new")(t, dir); edit(t, dir) }, "", true},
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// scratch is a directory, in memory where the system has one there: flushing
// to a disk thousands of times takes minutes.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "kasgen-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// again is a copy of dir and of what lies beside it.
func again(t *testing.T, dir string) string {
	t.Helper()
	root := scratch(t)
	if err := os.CopyFS(root, os.DirFS(filepath.Dir(dir))); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, filepath.Base(dir))
}

// state is what dir holds: old, new, edited (old), or nothing, and nothing in
// between.
func state(t *testing.T, dir string) string {
	t.Helper()
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return "nothing"
	}
	if _, err := os.Stat(filepath.Join(dir, "mine")); err == nil {
		if read(t, dir, "a/two")+read(t, dir, "z/one")+read(t, dir, "mine") != "old\nold\nprecious\n" {
			t.Error("the edited directory is in pieces")
		}
		return "edited"
	}
	whole(t, dir)
	return strings.TrimSpace(read(t, dir, "a/two"))
}

// TestKilled kills a process ahead of each thing that it does to the disk, and
// holds what it leaves to a whole bundle, and the next run to going on from
// there.
func TestKilled(t *testing.T) {
	t.Parallel()
	for name, scene := range scenes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := filepath.Join(scratch(t), "bundle")
			scene.before(t, begin)
			for survives := 0; ; survives++ {
				dir := again(t, begin)
				before := state(t, dir)
				dead := victim{Dir: dir, Word: scene.word, Survives: survives}.die(t)
				after := state(t, dir)
				if after != before && after != "new" {
					t.Fatalf("after %d operations %s became %s", survives, before, after)
				}
				goOn(t, dir, scene.edited)
				if !dead {
					if after != "new" || survives < 20 {
						t.Errorf("%d operations made it %s", survives, after)
					}
					return
				}
			}
		})
	}
}

// TestKilledTwice ends a write, then the run that cleans up after it, ahead of
// each operation of both, where directories can be exchanged and where they
// cannot.
func TestKilledTwice(t *testing.T) {
	t.Parallel()
	for name, scene := range scenes() {
		for _, renames := range []bool{false, true} {
			if name == "the eleventh" || renames && scene.word == "" {
				continue // too many operations for their square, and the same as another
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				root := scratch(t)
				dir := filepath.Join(root, "bundle")
				for first, dead := 0, true; dead; first += 7 {
					for second, again := first%5, true; again; second += 5 {
						if err := os.RemoveAll(root); err != nil {
							t.Fatal(err)
						}
						scene.before(t, dir)
						dead = victim{Dir: dir, Word: scene.word, Survives: first, Renames: renames}.stop(t)
						again = victim{Dir: dir, Word: "another", Survives: second, Renames: renames}.stop(t)
						if s := state(t, dir); s == "nothing" && !renames && name != "the first" {
							t.Fatalf("killed at %d and %d: %s", first, second, s)
						}
						inOrder(t, dir, scene.edited)
					}
				}
			})
		}
	}
}

// inOrder renders in what a killed run left, and fails unless all is in order
// then and nothing of a person's is lost.
func inOrder(t *testing.T, dir string, edited bool) (generations int) {
	t.Helper()
	if s := state(t, dir); s != "nothing" && s != "edited" {
		// A render that has nothing to do cleans up, too.
		if _, err := make2(s).Write(dir, false); err != nil {
			t.Fatal(err)
		}
		if h, err := bundle.Generations(dir); err != nil || h.Interrupted || !h.Generations[len(h.Generations)-1].Current {
			t.Fatalf("the newest generation is not in place: %+v, %v", h, err)
		}
	}
	if _, err := make2("last").Write(dir, true); err != nil {
		t.Fatal(err)
	}
	h, err := bundle.Generations(dir)
	if err != nil {
		t.Fatal(err)
	}
	n := len(h.Generations)
	if n == 0 || n > bundle.Kept || h.Interrupted || !h.Generations[n-1].Current {
		t.Fatalf("the generations are not in order: %+v", h)
	}
	for _, name := range names(t, filepath.Dir(kept(dir, 1))) {
		if name != "lock" && !strings.HasPrefix(name, "00") {
			t.Errorf("left behind: %s", name)
		}
	}
	found := false
	for _, g := range h.Generations {
		if !g.Whole() {
			found = read(t, kept(dir, g.Number), "mine") == "precious\n"
		}
	}
	if found != edited {
		t.Errorf("an edit was made: %v, it was kept: %v", edited, found)
	}
	return n
}

// goOn is inOrder, and rolls back and forth.
func goOn(t *testing.T, dir string, edited bool) {
	t.Helper()
	if inOrder(t, dir, edited) == 1 {
		return
	}
	if _, err := bundle.Rollback(dir, 0, false); err != nil {
		t.Fatal(err)
	}
	if s := state(t, dir); s == "last" {
		t.Error("rolling back left everything as it was")
	}
	if _, err := bundle.Rollback(dir, 0, false); err != nil {
		t.Fatal(err)
	}
	if s := state(t, dir); s != "last" {
		t.Errorf("rolling back the rollback made it %s", s)
	}
}
