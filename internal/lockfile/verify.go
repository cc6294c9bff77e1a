package lockfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Difference is how a directory differs from its manifest. Paths are relative
// to the directory, with slashes, and sorted.
type Difference struct {
	Edited  []string `json:"edited"`  // other content, other mode, or no regular file
	Missing []string `json:"missing"` // listed and not there
	Extra   []string `json:"extra"`   // there and not listed
}

// Empty says whether there is no difference.
func (d Difference) Empty() bool { return len(d.Edited)+len(d.Missing)+len(d.Extra) == 0 }

// Verify compares the files below dir with the manifest. It reads every listed
// file and follows no symbolic link.
func (f *File) Verify(dir string) (Difference, error) {
	var d Difference
	listed := map[string]Entry{}
	for _, e := range f.Files {
		listed[e.Path] = e
	}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		want, ok := listed[name]
		delete(listed, name)
		switch {
		case name == Name:
		case !ok:
			d.Extra = append(d.Extra, name)
		default:
			same, err := want.matches(path, entry)
			if err != nil {
				return err
			}
			if !same {
				d.Edited = append(d.Edited, name)
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Difference{}, fmt.Errorf("comparing %s with its manifest: %w", dir, err)
	}
	for name := range listed {
		d.Missing = append(d.Missing, name)
	}
	slices.Sort(d.Missing)
	return d, nil
}

func (e Entry) matches(path string, entry fs.DirEntry) (bool, error) {
	info, err := entry.Info()
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm() != fs.FileMode(e.Mode) {
		return false, nil
	}
	data, err := os.ReadFile(path)
	return Digest(data) == e.SHA256, err
}
