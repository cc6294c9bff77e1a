package bundle

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"kasgen/internal/diag"
)

// recover finishes, or undoes, what a run that was killed left behind. The
// lock is held, so nobody is writing.
func (p place) recover() (diag.Findings, error) {
	if err := p.discard(p.at(fillingName)); err != nil {
		return nil, err
	}
	if err := p.settle(); err != nil {
		return nil, err
	}
	return p.empty()
}

// settle brings the generations in line with the directory, wherever a write
// stopped: what was written becomes the newest generation, and what it took
// the place of stays, unless a generation holds all of it already.
func (p place) settle() error {
	work := p.at(workName)
	if ok, err := exists(work); !ok || err != nil {
		return err
	}
	replaced, done, err := p.replaced()
	if err != nil {
		return err
	}
	if !done {
		return p.discard(work)
	}
	if err := p.number(); err != nil {
		return err
	}
	if err := p.keep(replaced); err != nil {
		return err
	}
	return p.discard(work)
}

// replaced finds what the directory was before, which may be nothing, and
// whether the write that left work behind came as far as replacing it.
func (p place) replaced() (path string, done bool, err error) {
	fresh, old := p.at(workName, "dir"), p.at(workName, "old")
	if ok, err := exists(old); err != nil {
		return "", false, err
	} else if ok {
		present, err := exists(p.dir)
		if err != nil {
			return "", false, err
		}
		if present {
			return old, true, nil
		}
		// Killed between the two renames of enterByRename.
		return "", false, p.disk.rename(old, p.dir)
	}
	if ok, err := exists(fresh); err != nil || !ok {
		return fresh, true, err // it was renamed: there was no directory before
	}
	copied, err := exists(p.at(workName, "copy"))
	if err != nil || !copied {
		return fresh, true, err // the copy has its number already
	}
	// Two equal directories were never exchanged: a write that changes nothing
	// is not begun.
	before, err := same(fresh, p.at(workName, "copy"))
	if err != nil {
		before = false // kasgen can read what it wrote, so this is not it
	}
	return fresh, !before, nil
}

// number makes the copy of what was written the newest generation.
func (p place) number() error {
	copied := p.at(workName, "copy")
	if ok, err := exists(copied); !ok || err != nil {
		return err
	}
	kept, err := p.numbers()
	if err != nil {
		return err
	}
	if err := p.disk.rename(copied, p.generation(newest(kept)+1)); err != nil {
		return err
	}
	return p.disk.sync(p.at())
}

// keep makes path, what the directory was, the generation before the newest,
// unless one that is kept holds all of it.
func (p place) keep(path string) error {
	if ok, err := exists(path); !ok || err != nil {
		return err
	}
	kept, err := p.numbers()
	if err != nil {
		return err
	}
	for i := len(kept) - 1; i >= 0; i-- {
		// What cannot be read is kept: nobody knows what it is.
		if held, err := contains(p.generation(kept[i]), path); err == nil && held {
			return nil
		}
	}
	last := newest(kept)
	if free := last - 1; free < 1 || len(kept) > 1 && kept[len(kept)-2] == free {
		if err := p.disk.rename(p.generation(last), p.generation(last+1)); err != nil {
			return err
		}
		last++
	}
	if err := p.disk.rename(path, p.generation(last-1)); err != nil {
		return err
	}
	return p.disk.sync(p.at())
}

// discard takes something out of the way in one step, so that a run that is
// killed while it removes it does not leave half of it under its name.
func (p place) discard(path string) error {
	if ok, err := exists(path); !ok || err != nil {
		return err
	}
	for i := 1; ; i++ {
		trash := p.at(fmt.Sprintf("%s%d", trashName, i))
		if taken, err := exists(trash); err != nil {
			return err
		} else if !taken {
			return p.disk.rename(path, trash)
		}
	}
}

// empty removes what was discarded. What cannot be removed, such as a folder
// of another user, is a warning: the bundle is whole without it.
func (p place) empty() (diag.Findings, error) {
	entries, err := os.ReadDir(p.at())
	if err != nil {
		return nil, err
	}
	var warnings diag.Findings
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), trashName) {
			continue
		}
		path := p.at(e.Name())
		if err := p.disk.remove(path); err != nil {
			warnings.Add(diag.Finding{Code: CodeRemains, Severity: diag.Warning, Pos: diag.Pos{File: path},
				What: "an old generation cannot be removed", Why: err.Error(), Fix: "remove " + filepath.Clean(path) + " yourself; nothing needs it"})
		}
	}
	return warnings, nil
}
