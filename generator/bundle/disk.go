package bundle

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// disk is the operations that change something. Each is one that a SIGKILL can
// come before or after; before, which tests set, is called ahead of each.
type disk struct {
	before func()
	// renames says that two directories cannot be exchanged, as on some file
	// systems and outside Linux.
	renames bool
}

// Option changes how a directory is written.
type Option func(*disk)

// Before has step called ahead of each operation that changes something, for
// tests of a whole of which a bundle is a part.
func Before(step func()) Option { return func(d *disk) { d.before = step } }

func with(options []Option) disk {
	var d disk
	for _, o := range options {
		o(&d)
	}
	return d
}

func (d disk) step() {
	if d.before != nil {
		d.before()
	}
}

func (d disk) mkdir(path string, mode fs.FileMode) error {
	d.step()
	if err := os.Mkdir(path, mode); err != nil {
		return err
	}
	d.step()
	// Chmod, because the umask may have taken bits that other users' programs
	// need.
	return os.Chmod(path, mode)
}

// write makes a file and flushes it.
func (d disk) write(path string, from io.Reader, mode fs.FileMode) error {
	d.step()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	d.step()
	_, err = io.Copy(f, from)
	d.step()
	return errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
}

func (d disk) symlink(target, path string) error {
	d.step()
	return os.Symlink(target, path)
}

func (d disk) rename(from, to string) error {
	d.step()
	return os.Rename(from, to)
}

// exchange swaps two directories in one step, or fails with
// errors.ErrUnsupported.
func (d disk) exchange(a, b string) error {
	if d.renames {
		return errors.ErrUnsupported
	}
	d.step()
	return exchange(a, b)
}

// sync flushes the names in a directory.
func (d disk) sync(dir string) error {
	d.step()
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// remove takes a directory away that nobody needs, entry by entry.
func (d disk) remove(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		d.step()
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	d.step()
	return os.Remove(dir)
}

// exists says whether there is something at path, of any kind.
func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if missing(err) {
		return false, nil
	}
	return err == nil, err
}

// missing says whether err means that there is nothing at a path: no such
// file, or a file or a link in a circle where a directory on the way should be.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) || notDirectory(err) }
