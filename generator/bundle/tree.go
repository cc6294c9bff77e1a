package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// copyTree copies what lies below from to the new directory to: files,
// folders and links with their modes. Owners are those of the process.
func (d disk) copyTree(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if err := d.mkdir(to, info.Mode().Perm()); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := d.copyEntry(filepath.Join(from, e.Name()), filepath.Join(to, e.Name()), e.Type()); err != nil {
			return err
		}
	}
	return d.sync(to)
}

func (d disk) copyEntry(from, to string, kind fs.FileMode) error {
	switch kind {
	case fs.ModeDir:
		return d.copyTree(from, to)
	case fs.ModeSymlink:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return d.symlink(target, to)
	case 0:
		f, err := os.Open(from)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err == nil {
			err = d.write(to, f, info.Mode().Perm())
		}
		return errors.Join(err, f.Close())
	default:
		return fmt.Errorf("%s is %s: only files, folders and links can be copied", from, kind)
	}
}

// same says whether two directories hold the same. Empty folders hold nothing.
func same(a, b string) (bool, error) {
	if ok, err := contains(a, b); !ok || err != nil {
		return false, err
	}
	return contains(b, a)
}

// contains says whether whole holds everything that part holds, with the same
// modes; a part that does not exist holds nothing.
func contains(whole, part string) (bool, error) {
	held := map[string]bool{} // what a link in whole leads to is not in it
	if err := files(whole, func(name string) error { held[name] = true; return nil }); err != nil {
		return false, err
	}
	err := files(part, func(name string) error {
		if !held[name] {
			return errDiffers
		}
		equal, err := sameEntry(filepath.Join(whole, name), filepath.Join(part, name))
		if err == nil && !equal {
			return errDiffers
		}
		return err
	})
	if errors.Is(err, errDiffers) {
		return false, nil
	}
	return err == nil, err
}

// files calls found with each thing below dir that is no folder. A directory
// that does not exist has none.
func files(dir string, found func(name string) error) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case path == dir && missing(err):
			return nil
		case err != nil || e.IsDir():
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return found(name)
	})
}

// errDiffers ends a walk; fs.SkipAll could not be told from its end.
var errDiffers = errors.New("the directories differ")

// sameEntry compares two files, and what they hold only where all else is the
// same.
func sameEntry(a, b string) (bool, error) {
	x, err := os.Lstat(a)
	if missing(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	y, err := os.Lstat(b)
	if err != nil {
		return false, err
	}
	switch {
	case x.Mode() != y.Mode():
		return false, nil
	case x.Mode()&fs.ModeSymlink != 0:
		to, err := os.Readlink(a)
		if err != nil {
			return false, err
		}
		other, err := os.Readlink(b)
		return to == other, err
	case !x.Mode().IsRegular():
		return os.SameFile(x, y), nil // nobody can compare what it holds
	case x.Size() != y.Size():
		return false, nil
	}
	return sameContent(a, b)
}

func sameContent(a, b string) (equal bool, err error) {
	x, err := os.Open(a)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	y, err := os.Open(b)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, y.Close()) }()
	return sameBytes(x, y)
}

func sameBytes(x, y io.Reader) (bool, error) {
	var xs, ys [4 << 10]byte
	for {
		n, err := io.ReadFull(x, xs[:])
		m, other := io.ReadFull(y, ys[:])
		if !bytes.Equal(xs[:n], ys[:m]) {
			return false, nil
		}
		switch {
		case ended(err) && ended(other):
			return true, nil
		case err != nil && !ended(err):
			return false, err
		case other != nil && !ended(other):
			return false, other
		}
	}
}

func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
