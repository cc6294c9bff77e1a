// Package bundle owns the set of files that is rendered: its form as a stream,
// its manifest, and the way it gets into a directory. It does not know what
// the files mean. Its law: a directory holds a whole old bundle or a whole new
// one, whatever happens in between, and what a person changed in it is never
// replaced unless asked.
package bundle

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/tools/txtar"

	"kasgen/internal/lockfile"
)

// FileMode is the mode of a bundle's files. They hold no secrets, and the
// programs that read them run as different users.
const FileMode fs.FileMode = 0o644

// File is one file of a bundle.
type File struct {
	Path string // relative, with slashes
	Data []byte
}

// Bundle is a manifest and its files, sorted by path.
type Bundle struct {
	Lock  *lockfile.File
	Files []File // the manifest is not among them
}

// New is a bundle of files. lock says everything but the files.
func New(lock lockfile.File, files []File) (*Bundle, error) {
	b := &Bundle{Lock: &lock, Files: slices.Clone(files)}
	slices.SortFunc(b.Files, func(x, y File) int { return strings.Compare(x.Path, y.Path) })
	lock.Files = []lockfile.Entry{}
	for i, f := range b.Files {
		if i > 0 && b.Files[i-1].Path == f.Path {
			return nil, fmt.Errorf("two targets write %s", f.Path)
		}
		lock.Files = append(lock.Files, lockfile.Entry{Path: f.Path, Mode: lockfile.Mode(FileMode), SHA256: lockfile.Digest(f.Data)})
	}
	return b, nil
}

// All are the files with the manifest last, as it is written.
func (b *Bundle) All() []File {
	return append(slices.Clone(b.Files), File{Path: lockfile.Name, Data: lockfile.Write(b.Lock)})
}

// Txtar is the whole bundle as one stream.
func (b *Bundle) Txtar() []byte {
	var a txtar.Archive
	for _, f := range b.All() {
		a.Files = append(a.Files, txtar.File{Name: f.Path, Data: f.Data})
	}
	return txtar.Format(&a)
}
