package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"kasgen/internal/diag"
)

// Write makes dir this bundle and returns what changed. What people did to dir
// is a diag.Findings, unless force gives it up; a directory that is no bundle
// is never replaced.
//
// The files are written to a directory beside dir and flushed to the disk, and
// the two directories are exchanged in one step. Whoever looks, and whatever
// is left after a SIGKILL or a power cut at any point, sees the old bundle or
// the new one. What dir was stays as a generation.
func (b *Bundle) Write(dir string, force bool, options ...Option) (*Comparison, error) {
	return b.write(with(options), dir, force)
}

func (b *Bundle) write(d disk, dir string, force bool) (*Comparison, error) {
	p, err := find(dir)
	if err != nil {
		return nil, fmt.Errorf("writing the bundle: %w", err)
	}
	p.disk = d
	// A directory of somebody else's gets nothing beside it.
	c, err := b.Compare(p.dir)
	if err != nil {
		return nil, err
	}
	if err := refused(c.Guard(dir), force, CodeForeign); err != nil && c.Foreign {
		return nil, err
	}
	unlock, err := p.lock()
	if err != nil {
		return nil, writing(err)
	}
	defer unlock()
	warnings, err := p.recover()
	if err != nil {
		return nil, fmt.Errorf("writing the bundle: cleaning up after a run that was killed: %w", err)
	}
	if c, err = b.Compare(p.dir); err != nil {
		return nil, err
	}
	c.Warnings = warnings
	if c.Same() {
		return c, nil
	}
	if err := refused(c.Guard(dir), force, CodeForeign); err != nil {
		return nil, err
	}
	return p.finish(c, b.fill)
}

// writing says what was being done, unless err is findings.
func writing(err error) error {
	if _, ok := errors.AsType[diag.Findings](err); ok {
		return err
	}
	return fmt.Errorf("writing the bundle: %w", err)
}

// refused are the findings that force does not overrule: those with a code
// that is never given up.
func refused(found diag.Findings, force bool, never ...string) error {
	if !force {
		return found.Err()
	}
	var rest diag.Findings
	for _, f := range found {
		if slices.Contains(never, f.Code) {
			rest.Add(f)
		}
	}
	return rest.Err()
}

// finish replaces the directory by what fill writes, and adds to c what came
// of it.
func (p place) finish(c *Comparison, fill func(disk, string) error) (*Comparison, error) {
	if err := p.replace(fill); err != nil {
		// Nothing is half done: what was not finished is taken away, and where
		// that fails, too, the next run does it.
		_, cleanup := p.recover()
		return nil, errors.Join(writing(err), cleanup)
	}
	if err := p.prune(); err != nil {
		return nil, writing(err)
	}
	more, err := p.empty()
	if err != nil {
		return nil, writing(err)
	}
	kept, err := p.numbers()
	if err != nil {
		return nil, writing(err)
	}
	c.Warnings = append(c.Warnings, more...)
	c.Generation = newest(kept)
	return c, nil
}

// replace lets fill write a new directory twice, once for the directory and
// once as its generation, and puts it in place.
func (p place) replace(fill func(disk, string) error) error {
	filling, work := p.at(fillingName), p.at(workName)
	if err := p.disk.mkdir(filling, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"dir", "copy"} {
		if err := fill(p.disk, filepath.Join(filling, name)); err != nil {
			return err
		}
	}
	if err := p.disk.sync(filling); err != nil {
		return err
	}
	if err := p.disk.rename(filling, work); err != nil {
		return err
	}
	if err := p.disk.sync(p.at()); err != nil {
		return err
	}
	if err := p.enter(); err != nil {
		return err
	}
	for _, dir := range []string{work, filepath.Dir(p.dir)} {
		if err := p.disk.sync(dir); err != nil {
			return err
		}
	}
	return p.settle()
}

// enter puts the new directory in place, and the old one in its.
func (p place) enter() error {
	fresh := p.at(workName, "dir")
	present, err := exists(p.dir)
	switch {
	case err != nil:
		return err
	case !present:
		return p.disk.rename(fresh, p.dir)
	}
	err = p.disk.exchange(fresh, p.dir)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	// For systems that cannot exchange two directories. Between the renames
	// there is no directory; recover puts the old one back.
	old := p.at(workName, "old")
	if err := p.disk.rename(p.dir, old); err != nil {
		return err
	}
	if err := p.disk.rename(fresh, p.dir); err != nil {
		return errors.Join(err, p.disk.rename(old, p.dir))
	}
	return nil
}

// fill writes every file below dir, which is new, and flushes all of it.
func (b *Bundle) fill(d disk, dir string) error {
	if err := d.mkdir(dir, 0o755); err != nil {
		return err
	}
	folders := []string{dir}
	for _, f := range b.All() {
		path := filepath.Join(dir, filepath.FromSlash(f.Path))
		made, err := d.folders(dir, filepath.Dir(path))
		if err != nil {
			return err
		}
		folders = append(folders, made...)
		if err := d.write(path, bytes.NewReader(f.Data), FileMode); err != nil {
			return err
		}
	}
	for _, folder := range folders {
		if err := d.sync(folder); err != nil {
			return err
		}
	}
	return nil
}

// folders makes the folders from root down to dir that are not there.
func (d disk) folders(root, dir string) (made []string, err error) {
	if dir == root {
		return nil, nil
	}
	if ok, err := exists(dir); ok || err != nil {
		return nil, err
	}
	if made, err = d.folders(root, filepath.Dir(dir)); err != nil {
		return nil, err
	}
	return append(made, dir), d.mkdir(dir, 0o755)
}
