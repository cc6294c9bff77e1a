package bundle

import (
	"bytes"
	"fmt"
	"io/fs"
	"slices"

	"github.com/rogpeppe/go-internal/diff"
)

// Change is one file that is not as it is to be.
type Change struct {
	Path string     `json:"path"`
	Kind ChangeKind `json:"kind"`
	old  entry
	new  entry
}

// ChangeKind is what happens to a file.
type ChangeKind string

// The kinds.
const (
	Added   ChangeKind = "added"
	Changed ChangeKind = "changed"
	Removed ChangeKind = "removed"
)

// changes are what makes after out of before, by path, what is removed at the
// end.
func changes(before, after []entry) []Change {
	find := func(list []entry, path string) (entry, bool) {
		i := slices.IndexFunc(list, func(e entry) bool { return e.path == path })
		if i < 0 {
			return entry{}, false
		}
		return list[i], true
	}
	list := []Change{}
	for _, e := range after {
		old, ok := find(before, e.path)
		switch {
		case !ok:
			list = append(list, Change{Path: e.path, Kind: Added, new: e})
		case old.mode != e.mode || !bytes.Equal(old.data, e.data):
			list = append(list, Change{Path: e.path, Kind: Changed, old: old, new: e})
		}
	}
	for _, e := range before {
		if _, ok := find(after, e.path); !ok {
			list = append(list, Change{Path: e.path, Kind: Removed, old: e})
		}
	}
	return list
}

// diff is the change in unified form.
func (c Change) diff() []byte {
	before, after := "a/"+c.Path, "b/"+c.Path
	switch c.Kind {
	case Added:
		before = "/dev/null"
	case Removed:
		after = "/dev/null"
	case Changed:
		if bytes.Equal(c.old.data, c.new.data) {
			return fmt.Appendf(nil, "diff %s %s\nold mode %s\nnew mode %s\n", before, after, mode(c.old.mode), mode(c.new.mode))
		}
	}
	return diff.Diff(before, c.old.data, after, c.new.data)
}

func mode(m fs.FileMode) string {
	if m.IsRegular() {
		return fmt.Sprintf("%04o", m.Perm())
	}
	return m.String()
}
