package units

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Stale are the names of files in a directory that Render once wrote there and
// that are not among files: units of roles that are gone. A file that lacks
// Render's first line is somebody else's, and so is what is no plain file: a
// link that masks a unit is an administrator's word.
func Stale(dir string, files []File) ([]string, error) {
	entries, err := os.ReadDir(dir) // in the order of names
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var stale []string
	for _, e := range entries {
		name := e.Name()
		ours := strings.HasPrefix(name, "kasgen.") || strings.HasPrefix(name, "kasgen-")
		if !ours || !e.Type().IsRegular() || slices.ContainsFunc(files, func(f File) bool { return f.Name == name }) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if bytes.HasPrefix(data, []byte("# "+header+"\n")) {
			stale = append(stale, name)
		}
	}
	return stale, nil
}
