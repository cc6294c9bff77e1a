package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"kasgen/internal/diag"
)

// Write makes dir this bundle and returns what changed. What people did to dir
// is a diag.Findings, unless force gives it up; a directory that is no bundle
// is never replaced.
//
// The files are written to a directory beside dir and flushed to the disk, and
// the two directories are exchanged in one step. Whoever looks, and whatever
// is left after a SIGKILL or a power cut at any point, sees the old bundle or
// the new one. The old directory stays, as .NAME.previous.
func (b *Bundle) Write(dir string, force bool) (*Comparison, error) {
	dir, err := resolve(dir)
	if err != nil {
		return nil, fmt.Errorf("writing the bundle: %w", err)
	}
	place := place{dir: dir}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, fmt.Errorf("writing the bundle: %w", err)
	}
	unlock, err := place.lock()
	if err != nil {
		return nil, fmt.Errorf("writing the bundle: %w", err)
	}
	defer unlock()
	if err := place.recover(); err != nil {
		return nil, fmt.Errorf("writing the bundle: cleaning up after a run that was killed: %w", err)
	}
	c, err := b.Compare(dir)
	if err != nil {
		return nil, err
	}
	if c.Same() {
		return c, nil
	}
	if err := refused(c.Guard(dir), force); err != nil {
		return nil, err
	}
	if err := b.replace(place); err != nil {
		return nil, fmt.Errorf("writing the bundle: %w", err)
	}
	return c, nil
}

// refused are the findings that force does not overrule.
func refused(found diag.Findings, force bool) error {
	if !force {
		return found.Err()
	}
	var rest diag.Findings
	for _, f := range found {
		if f.Code == CodeForeign {
			rest.Add(f)
		}
	}
	return rest.Err()
}

func (b *Bundle) replace(p place) (err error) {
	fresh, err := os.MkdirTemp(filepath.Dir(p.dir), p.name("new-*"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(fresh)) }()
	if err := b.fill(fresh); err != nil {
		return err
	}
	return p.swap(fresh)
}

// fill writes every file below dir, which is new, and flushes all of it.
func (b *Bundle) fill(dir string) error {
	// MkdirTemp makes directories private; programs that run as other users
	// read this one.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	folders := map[string]bool{dir: true}
	for _, f := range b.All() {
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		folders[filepath.Dir(path)] = true
		if err := writeSynced(path, f.Data); err != nil {
			return err
		}
	}
	for folder := range folders {
		if err := syncDir(folder); err != nil {
			return err
		}
	}
	return nil
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, FileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	// Chmod, because the umask may have taken bits that the manifest lists.
	return errors.Join(err, f.Chmod(FileMode), f.Sync(), f.Close())
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
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
		return abs, nil
	}
	return real, err
}
