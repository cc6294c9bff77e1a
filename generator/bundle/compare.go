package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/diff"

	"kasgen/internal/lockfile"
)

// Comparison is how a directory differs from a bundle.
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
}

// Change is one file that is not as the bundle has it.
type Change struct {
	Path string     `json:"path"`
	Kind ChangeKind `json:"kind"`
	old  []byte
	new  []byte
}

// ChangeKind is what happens to a file.
type ChangeKind string

// The kinds.
const (
	Added   ChangeKind = "added"
	Changed ChangeKind = "changed"
	Removed ChangeKind = "removed"
)

// Compare looks at dir, which may be missing, and changes nothing.
func (b *Bundle) Compare(dir string) (*Comparison, error) {
	c := &Comparison{}
	if err := c.readManifest(dir); err != nil {
		return nil, err
	}
	listed := map[string]bool{}
	for _, f := range b.All() {
		listed[f.Path] = true
		old, mode, err := readRegular(filepath.Join(dir, filepath.FromSlash(f.Path)))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			c.Changes = append(c.Changes, Change{Path: f.Path, Kind: Added, new: f.Data})
		case err != nil:
			return nil, fmt.Errorf("comparing with %s: %w", dir, err)
		case !bytes.Equal(old, f.Data) || mode != FileMode:
			c.Changes = append(c.Changes, Change{Path: f.Path, Kind: Changed, old: old, new: f.Data})
		}
	}
	if c.Manifest == nil {
		return c, nil
	}
	for _, e := range c.Manifest.Files {
		if listed[e.Path] {
			continue
		}
		old, _, err := readRegular(filepath.Join(dir, filepath.FromSlash(e.Path)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("comparing with %s: %w", dir, err)
		}
		c.Changes = append(c.Changes, Change{Path: e.Path, Kind: Removed, old: old})
	}
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
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		c.Foreign = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("comparing with %s: %w", dir, err)
	}
	if c.Manifest, c.Broken = lockfile.Read(path, data); c.Broken != nil {
		return nil
	}
	c.Edited, err = c.Manifest.Verify(dir)
	return err
}

// Same says whether dir is the bundle, no more and no less.
func (c *Comparison) Same() bool {
	return len(c.Changes) == 0 && c.Edited.Empty() && !c.Foreign && c.Broken == nil
}

// Diff is the changes in unified form, from the directory to the bundle.
func (c *Comparison) Diff() []byte {
	var out []byte
	for _, change := range c.Changes {
		before, after := "a/"+change.Path, "b/"+change.Path
		if change.Kind == Added {
			before = "/dev/null"
		}
		if change.Kind == Removed {
			after = "/dev/null"
		}
		out = append(out, diff.Diff(before, change.old, after, change.new)...)
	}
	return out
}

// readRegular reads a file; anything but a regular one reads as empty.
func readRegular(path string) ([]byte, fs.FileMode, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, info.Mode(), nil
	}
	data, err := os.ReadFile(path)
	return data, info.Mode(), err
}
