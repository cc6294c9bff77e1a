package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"kasgen/internal/diag"
	"kasgen/internal/lockfile"
)

// Comparison is how a directory differs from what it is to become: a bundle,
// one of its generations, or another directory.
type Comparison struct {
	Changes []Change
	// Manifest is the directory's own, nil where it has none that can be read.
	Manifest *lockfile.File
	// Edited, as against Manifest, is what people did to the directory.
	Edited lockfile.Difference
	// Foreign says that the directory holds files and no manifest.
	Foreign bool
	// Broken says why the manifest cannot be read.
	Broken error
	// From is the generation that a rollback goes back to; 0 elsewhere.
	From int
	// Generation is the one that was made; 0 where nothing was written.
	Generation int
	// Warnings are of the generations, not of the files.
	Warnings diag.Findings

	before, after []entry
	held          bool // the directory holds generation From
}

// Compare looks at dir, which may be missing, and changes nothing.
func (b *Bundle) Compare(dir string) (*Comparison, error) {
	var after []entry
	for _, f := range b.All() {
		after = append(after, entry{path: f.Path, mode: FileMode, data: f.Data})
	}
	return compareWith(dir, after)
}

// CompareDirectories is what makes to out of from. Both must exist.
func CompareDirectories(from, to string) (*Comparison, error) {
	c := &Comparison{}
	var err error
	if c.before, err = loadDirectory(from); err != nil {
		return nil, fmt.Errorf("comparing %s with %s: %w", from, to, err)
	}
	if c.after, err = loadDirectory(to); err != nil {
		return nil, fmt.Errorf("comparing %s with %s: %w", from, to, err)
	}
	c.Changes = changes(c.before, c.after)
	return c, nil
}

func loadDirectory(dir string) ([]entry, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", dir)
	}
	real, err := filepath.EvalSymlinks(dir) // a walk does not follow the link that it begins at
	if err != nil {
		return nil, err
	}
	return load(real)
}

// compareWith compares dir with after. Files of dir that neither its manifest
// nor after names are no changes: they are in Edited.
func compareWith(dir string, after []entry) (*Comparison, error) {
	c := &Comparison{after: after}
	dir, err := resolve(dir)
	if err != nil {
		return nil, fmt.Errorf("comparing: %w", err)
	}
	if err := c.readManifest(dir); err != nil {
		return nil, err
	}
	var paths []string
	listed := map[string]bool{}
	for _, e := range after {
		paths, listed[e.path] = append(paths, e.path), true
	}
	if c.Manifest != nil {
		for _, e := range c.Manifest.Files {
			if !listed[e.Path] {
				paths = append(paths, e.Path)
			}
		}
	}
	for _, path := range paths {
		data, mode, err := readEntry(filepath.Join(dir, filepath.FromSlash(path)))
		switch {
		case missing(err):
		case err != nil:
			return nil, fmt.Errorf("comparing with %s: %w", dir, err)
		default:
			c.before = append(c.before, entry{path: path, mode: mode, data: data})
		}
	}
	c.Changes = changes(c.before, after)
	return c, nil
}

func (c *Comparison) readManifest(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("comparing with %s: %w", dir, err)
	case len(entries) == 0:
		return nil
	}
	path := filepath.Join(dir, lockfile.Name)
	data, mode, err := readEntry(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.Foreign = true
		return nil
	case err != nil:
		return fmt.Errorf("comparing with %s: %w", dir, err)
	case !mode.IsRegular():
		c.Broken = fmt.Errorf("%s is no regular file", path)
		return nil
	}
	if c.Manifest, c.Broken = lockfile.Read(path, data); c.Broken != nil {
		return nil
	}
	c.Edited, err = c.Manifest.Verify(dir)
	return err
}

// Same says whether dir is what it is to become, no more and no less.
func (c *Comparison) Same() bool {
	if c.From > 0 {
		return c.held
	}
	return len(c.Changes) == 0 && c.Edited.Empty() && !c.Foreign && c.Broken == nil
}

// Diff is the changes in unified form, from the directory as it is.
func (c *Comparison) Diff() []byte {
	var out []byte
	for _, change := range c.Changes {
		out = append(out, change.diff()...)
	}
	return out
}

// Before and After are the files that are compared, by path.
func (c *Comparison) Before() map[string][]byte { return byPath(c.before) }

// After is what the directory is to become.
func (c *Comparison) After() map[string][]byte { return byPath(c.after) }

func byPath(list []entry) map[string][]byte {
	files := map[string][]byte{}
	for _, e := range list {
		files[e.path] = e.data
	}
	return files
}
