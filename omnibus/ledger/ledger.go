// Package ledger owns changing several files as one. It does not know what the
// files mean. Its law: whenever a run ends, by itself, by a kill or by a power
// cut, the next one finds every file as it was before or every file as it was to
// be.
//
// What was there is copied to a directory beside the files and flushed to the
// disk before anything changes, and that directory's name is what says that
// changes are being made. The next run that finds it puts everything back.
package ledger

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"kasgen/runtime/certs/atomicfile"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Change is what a file is to become.
type Change struct {
	Path   string // absolute
	Data   []byte
	Mode   fs.FileMode // of a new file; one that is there keeps its own
	Folder fs.FileMode // of folders that are missing above it; 0: 0755
	Remove bool
}

// Ledger is where copies are kept while files change.
type Ledger struct {
	Dir string // absolute; its parent is there
	// Before is called ahead of each operation on the disk; nil: nothing.
	Before func()
	// After does what is left to do once the changes count, and is called again
	// by whoever recovers if it did not come to its end; nil: nothing. It gets
	// Begin's note.
	After func(note string) error
}

// record is one file as it was.
type record struct {
	Path string      `json:"path"`
	Was  bool        `json:"was"`
	Mode fs.FileMode `json:"mode"`
	UID  int         `json:"uid"`
	GID  int         `json:"gid"`
	// Folders are those that were not there above it, the outermost last.
	Folders []string `json:"folders"`
}

// index is the ledger's list.
type index struct {
	Note    string   `json:"note"`   // the caller's own
	Undone  bool     `json:"undone"` // everything was put back
	Records []record `json:"records"`
}

const indexName = "index.json"

func (l Ledger) step() {
	if l.Before != nil {
		l.Before()
	}
}

func (l Ledger) filling() string { return l.Dir + ".filling" }
func (l Ledger) done() string    { return l.Dir + ".done" }

// Begin writes down how the files are that changes are for. note is given to
// the undo of whoever recovers.
func (l Ledger) Begin(note string, changes []Change) error {
	if err := os.RemoveAll(l.filling()); err != nil {
		return err
	}
	l.step()
	if err := os.Mkdir(l.filling(), 0o700); err != nil {
		return err
	}
	ix := index{Note: note}
	for i, c := range changes {
		r, err := l.keep(c.Path, filepath.Join(l.filling(), strconv.Itoa(i)))
		if err != nil {
			return fmt.Errorf("keeping %s: %w", c.Path, err)
		}
		ix.Records = append(ix.Records, r)
	}
	text, err := json.MarshalIndent(ix, "", "  ")
	if err != nil {
		return err
	}
	if err := l.write(filepath.Join(l.filling(), indexName), text, 0o600); err != nil {
		return err
	}
	if err := sync(l.filling()); err != nil {
		return err
	}
	l.step()
	if err := os.Rename(l.filling(), l.Dir); err != nil {
		return err
	}
	return sync(filepath.Dir(l.Dir))
}

// keep copies a file and says how it was.
func (l Ledger) keep(path, to string) (record, error) {
	r := record{Path: path}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		_, err := os.Stat(dir)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return r, err
		}
		r.Folders = append(r.Folders, dir)
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if !info.Mode().IsRegular() {
		return r, fmt.Errorf("it is %s and no file", info.Mode().Type())
	}
	r.Was, r.Mode = true, info.Mode().Perm()
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		r.UID, r.GID = int(s.Uid), int(s.Gid)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	return r, l.write(to, data, 0o600)
}

// Apply makes the changes that Begin was told.
func (l Ledger) Apply(changes []Change) error {
	ix, err := read(l.Dir)
	if err != nil {
		return err
	}
	for i, c := range changes {
		if i >= len(ix.Records) || ix.Records[i].Path != c.Path {
			return fmt.Errorf("%s was not written down before", c.Path)
		}
		r := ix.Records[i]
		if c.Remove {
			err = l.remove(c.Path)
		} else {
			if !r.Was {
				r.Mode, r.UID, r.GID = c.Mode, -1, -1
			}
			if err = atomicfile.MkdirAll(filepath.Dir(c.Path), cmp.Or(c.Folder, 0o755)); err == nil {
				err = l.place(r, c.Data)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Commit says that everything is as it was to be.
func (l Ledger) Commit() error {
	l.step()
	if err := os.Rename(l.Dir, l.done()); err != nil {
		return err
	}
	if err := sync(filepath.Dir(l.Dir)); err != nil {
		return err
	}
	return l.finish()
}

// finish does what is left to do after a Commit.
func (l Ledger) finish() error {
	ix, err := read(l.done())
	if errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(l.done()) // its list is the first that goes
	}
	if err == nil && l.After != nil && !ix.Undone {
		err = l.After(ix.Note)
	}
	if err != nil {
		return err
	}
	l.step()
	if err := os.Remove(filepath.Join(l.done(), indexName)); err != nil {
		return err
	}
	l.step()
	return os.RemoveAll(l.done())
}

// Recover puts everything back where a run was ended before its Commit. undo,
// which may be nil, is for what is not a file, and gets Begin's note.
func (l Ledger) Recover(undo func(note string) error) (recovered bool, err error) {
	if err := os.RemoveAll(l.filling()); err != nil {
		return false, err
	}
	if err := l.finish(); err != nil {
		return false, err
	}
	ix, err := read(l.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if undo != nil {
		if err := undo(ix.Note); err != nil {
			return false, err
		}
	}
	for i := len(ix.Records) - 1; i >= 0; i-- {
		if err := l.restore(ix.Records[i], filepath.Join(l.Dir, strconv.Itoa(i))); err != nil {
			return false, fmt.Errorf("putting %s back: %w", ix.Records[i].Path, err)
		}
	}
	// What is left to do after the changes is not to be done.
	ix.Undone = true
	text, err := json.MarshalIndent(ix, "", "  ")
	if err != nil {
		return false, err
	}
	if err := l.place(record{Path: filepath.Join(l.Dir, indexName), Mode: 0o600, UID: -1}, text); err != nil {
		return false, err
	}
	return true, l.Commit()
}

func (l Ledger) restore(r record, from string) error {
	if r.Was {
		data, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		return l.place(r, data)
	}
	if err := l.remove(r.Path); err != nil {
		return err
	}
	for _, folder := range r.Folders {
		l.step()
		// One that somebody else has put something into stays.
		if err := os.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
	}
	return nil
}

func read(dir string) (index, error) {
	var ix index
	text, err := os.ReadFile(filepath.Join(dir, indexName))
	if err != nil {
		return ix, err
	}
	if err := json.Unmarshal(text, &ix); err != nil {
		return ix, fmt.Errorf("%s: %w", filepath.Join(dir, indexName), err)
	}
	return ix, nil
}

// place makes a file hold data, whole or not at all.
func (l Ledger) place(r record, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(r.Path), 0o755); err != nil {
		return err
	}
	tmp := filepath.Join(filepath.Dir(r.Path), "."+filepath.Base(r.Path)+".kasgen-new")
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := l.write(tmp, data, r.Mode); err != nil {
		return err
	}
	// A new file belongs to who owns its folder.
	own := atomicfile.Inherit
	if r.UID >= 0 {
		own = func(tmp string) error { return os.Lchown(tmp, r.UID, r.GID) }
	}
	if os.Geteuid() == 0 {
		if err := own(tmp); err != nil {
			return err
		}
	}
	l.step()
	if err := os.Rename(tmp, r.Path); err != nil {
		return err
	}
	return sync(filepath.Dir(r.Path))
}

func (l Ledger) remove(path string) error {
	l.step()
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".kasgen-new")
	for _, p := range []string{path, tmp} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	err := sync(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (l Ledger) write(path string, data []byte, mode fs.FileMode) error {
	l.step()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	// Chmod, because the umask may have taken bits away.
	return errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
}

// sync makes names in a directory survive a power cut.
func sync(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
