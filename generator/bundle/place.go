package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// place is a bundle's directory and what lies beside it.
type place struct{ dir string }

// name is the name of something beside the directory.
func (p place) name(suffix string) string { return "." + filepath.Base(p.dir) + "." + suffix }

func (p place) beside(suffix string) string {
	return filepath.Join(filepath.Dir(p.dir), p.name(suffix))
}

// lock keeps two runs from writing the same directory: the second waits. The kernel drops it
// when the process ends, however it ends.
func (p place) lock() (unlock func(), err error) {
	f, err := os.OpenFile(p.beside("lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := waitLock(f); err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", f.Name(), err), f.Close())
	}
	return func() { _ = f.Close() }, nil // nothing was written to it
}

// recover finishes what a run that was killed left behind. The lock is held,
// so nobody is writing.
func (p place) recover() error {
	_, err := os.Lstat(p.dir)
	if errors.Is(err, fs.ErrNotExist) {
		// Killed between the two renames of swapByRename.
		err = os.Rename(p.beside("previous"), p.dir)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil // there never was one
		}
	}
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Dir(p.dir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if ok, err := filepath.Match(p.name("new-*"), e.Name()); err == nil && ok && e.IsDir() {
			if err := os.RemoveAll(filepath.Join(filepath.Dir(p.dir), e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// swap puts fresh in the directory's place and keeps the old one as previous.
func (p place) swap(fresh string) error {
	previous := p.beside("previous")
	_, err := os.Lstat(p.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = os.Rename(fresh, p.dir)
	case err != nil:
	default:
		err = exchange(fresh, p.dir)
		if errors.Is(err, errors.ErrUnsupported) {
			err = p.swapByRename(fresh, previous)
		} else if err == nil {
			// fresh now holds the old bundle.
			if err = os.RemoveAll(previous); err == nil {
				err = os.Rename(fresh, previous)
			}
		}
	}
	return errors.Join(err, syncDir(filepath.Dir(p.dir)))
}

// swapByRename is for systems that cannot exchange two directories. Between
// its renames there is no directory; recover puts the old one back.
func (p place) swapByRename(fresh, previous string) error {
	if err := os.RemoveAll(previous); err != nil {
		return err
	}
	if err := os.Rename(p.dir, previous); err != nil {
		return err
	}
	if err := os.Rename(fresh, p.dir); err != nil {
		return errors.Join(err, os.Rename(previous, p.dir))
	}
	return nil
}
