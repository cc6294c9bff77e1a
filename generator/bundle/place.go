package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"kasgen/internal/diag"
)

// place is a bundle's directory and what lies beside it: .NAME.generations,
// with a directory for each generation, the newest a copy of what was written
// last; and, while somebody writes or where somebody was killed, what is not
// finished.
//
//	b                           the bundle
//	.b.generations/000011       a generation
//	.b.generations/000012       the newest: b, as long as nobody edits b
//	.b.generations/lock         held by whoever writes
//	.b.generations/filling      a generation that is being written
//	.b.generations/work/dir     one that is whole; what b was, once exchanged
//	.b.generations/work/copy    the same, to become 000013
//	.b.generations/work/old     what b was, where nothing can be exchanged
//	.b.generations/trash-1      something that is being removed
type place struct {
	dir  string
	disk disk
}

// The names below .NAME.generations.
const (
	lockName    = "lock"
	fillingName = "filling"
	workName    = "work"
	trashName   = "trash-"
)

// at is a path beside the directory.
func (p place) at(names ...string) string {
	beside := filepath.Join(filepath.Dir(p.dir), "."+filepath.Base(p.dir)+".generations")
	return filepath.Join(append([]string{beside}, names...)...)
}

// find resolves dir, which need not exist.
func find(dir string) (place, error) {
	real, err := resolve(dir)
	if err != nil {
		return place{}, err
	}
	if filepath.Dir(real) == real {
		return place{}, fmt.Errorf("%s has no name of its own", real)
	}
	info, err := os.Lstat(real)
	if err == nil && !info.IsDir() {
		return place{}, fmt.Errorf("%s is not a directory", dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return place{}, err
	}
	return place{dir: real}, nil
}

// lock keeps two runs from writing the same directory. The kernel drops it
// when the process ends, however it ends.
func (p place) lock() (unlock func(), err error) {
	if err := os.MkdirAll(p.at(), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(p.at(lockName), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	held, err := tryLock(f)
	switch {
	case err != nil:
		return nil, errors.Join(fmt.Errorf("locking %s: %w", f.Name(), err), f.Close())
	case !held:
		return nil, errors.Join(p.busy(), f.Close())
	}
	// Whose it is, for whoever finds it held; nobody reads it otherwise.
	if err := errors.Join(f.Truncate(0), errOnly(f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0))); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = errors.Join(release(f), f.Close()) }, nil // closing would do, if no process inherited it
}

func errOnly(_ int, err error) error { return err }

func (p place) busy() error {
	who := "another process"
	if text, err := os.ReadFile(p.at(lockName)); err == nil {
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			who = fmt.Sprintf("process %d", pid)
		}
	}
	var fs diag.Findings
	fs.Add(diag.Finding{Code: CodeBusy, Pos: diag.Pos{File: p.dir}, What: "somebody else is writing this directory",
		Why: fmt.Sprintf("%s holds %s", who, p.at(lockName)), Fix: "try again when it has ended"})
	return fs
}

// resolve is dir without symbolic links, so that the link stays and what it
// points to is replaced. dir itself need not exist.
func resolve(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return abs, dangling(abs)
	}
	return real, err
}

// dangling refuses a link to nothing: a directory cannot take its place
// without the link being lost.
func dangling(path string) error {
	info, err := os.Lstat(path)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("%s is a link to something that does not exist", path)
	}
	return nil
}
