package bundle

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxShown is how long a file may be to be held and shown whole; rendered
// files are far below.
const maxShown = 1 << 20

// entry is one file as it is on the disk. Of what is no regular file, and of
// what is very long, data says what it is.
type entry struct {
	path string // relative, with slashes
	mode fs.FileMode
	data []byte
}

// load reads every file below dir, in order. What dir is itself is not looked
// at.
func load(dir string) ([]entry, error) {
	var list []entry
	err := files(dir, func(name string) error {
		data, mode, err := readEntry(filepath.Join(dir, name))
		list = append(list, entry{path: filepath.ToSlash(name), mode: mode, data: data})
		return err
	})
	return list, err
}

// readEntry reads one file. It opens nothing but regular files: a pipe would
// wait for somebody to write.
func readEntry(path string) ([]byte, fs.FileMode, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, 0, err
	}
	mode := info.Mode()
	switch {
	case mode&fs.ModeSymlink != 0:
		to, err := os.Readlink(path)
		return fmt.Appendf(nil, "(a link to %s)\n", to), mode, err
	case !mode.IsRegular():
		return fmt.Appendf(nil, "(no file: %s)\n", mode), mode, nil
	case info.Size() > maxShown:
		data, err := summary(path)
		return data, mode, err
	}
	data, err := os.ReadFile(path)
	return data, mode, err
}

func summary(path string) (text []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	return fmt.Appendf(nil, "(%d bytes, sha256 %x)\n", n, sum.Sum(nil)), err
}
