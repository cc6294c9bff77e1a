package bundle

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"kasgen/internal/diag"
	"kasgen/internal/lockfile"
)

// Kept is how many generations are kept, the one that is in the directory
// among them.
const Kept = 10

// Generation is one state of a directory: what was written to it, or what
// people had made of it when it was replaced.
type Generation struct {
	Number int
	// Written is the time of its manifest, or of its directory where it has
	// none.
	Written time.Time
	// Manifest is nil where it has none that can be read.
	Manifest *lockfile.File
	// Edited is what people had done to it.
	Edited lockfile.Difference
	// Broken says why the manifest cannot be read.
	Broken error
	// Current says that the directory holds it.
	Current bool
	// Changes is how it differs from the generation before it; nil for the
	// oldest that is kept.
	Changes []Change
}

// Whole says whether it is what kasgen wrote.
func (g Generation) Whole() bool { return g.Manifest != nil && g.Edited.Empty() }

// History is the generations of a directory.
type History struct {
	Generations []Generation // from the oldest
	// Interrupted says that somebody is writing, or was killed while he wrote:
	// the next render or rollback settles what belongs where.
	Interrupted bool
}

// Warnings says what is not in order.
func (h *History) Warnings(dir string) diag.Findings {
	var fs diag.Findings
	if h.Interrupted {
		fs.Add(diag.Finding{Code: CodeInterrupted, Severity: diag.Warning, Pos: diag.Pos{File: dir},
			What: "a write is running, or was killed", Why: "its newest generation may not have its number yet",
			Fix: "nothing to do: the next render or rollback finishes or undoes it"})
	}
	return fs
}

// Generations lists the generations of dir and changes nothing. dir itself may
// be anything, and missing.
func Generations(dir string) (*History, error) {
	p, err := find(dir)
	if err != nil {
		return nil, fmt.Errorf("listing generations: %w", err)
	}
	h, err := p.history()
	if err != nil {
		return nil, fmt.Errorf("listing generations of %s: %w", dir, err)
	}
	return h, nil
}

func (p place) history() (*History, error) {
	h := &History{}
	var err error
	if h.Interrupted, err = exists(p.at(workName)); err != nil {
		return nil, err
	}
	kept, err := p.numbers()
	if err != nil {
		return nil, err
	}
	var before []entry
	for i, n := range kept {
		g, files, err := p.read(n)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			g.Changes = changes(before, files)
		}
		before = files
		h.Generations = append(h.Generations, g)
	}
	// Of two generations that are the same, the newer one is in place.
	for i := len(h.Generations) - 1; i >= 0; i-- {
		g := &h.Generations[i]
		// A directory that cannot be read holds no generation.
		if held, err := same(p.dir, p.generation(g.Number)); err == nil && held {
			g.Current = true
			break
		}
	}
	return h, nil
}

// read is one generation with its files.
func (p place) read(n int) (Generation, []entry, error) {
	dir := p.generation(n)
	g := Generation{Number: n}
	c := &Comparison{}
	if err := c.readManifest(dir); err != nil {
		return g, nil, err
	}
	g.Manifest, g.Edited, g.Broken = c.Manifest, c.Edited, c.Broken
	info, err := os.Lstat(filepath.Join(dir, lockfile.Name))
	if missing(err) {
		info, err = os.Stat(dir)
	}
	if err != nil {
		return g, nil, err
	}
	g.Written = info.ModTime()
	files, err := load(dir)
	return g, files, err
}

func (p place) generation(n int) string { return p.at(fmt.Sprintf("%06d", n)) }

// numbers are those of the generations that are kept, in order.
func (p place) numbers() ([]int, error) {
	entries, err := os.ReadDir(p.at())
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && n > 0 && e.Name() == fmt.Sprintf("%06d", n) && e.Type() == fs.ModeDir {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list, nil
}

// newest is the last of kept, or 0.
func newest(kept []int) int {
	if len(kept) == 0 {
		return 0
	}
	return kept[len(kept)-1]
}

// prune gives up all but the newest generations.
func (p place) prune() error {
	kept, err := p.numbers()
	if err != nil {
		return err
	}
	for _, n := range kept[:max(0, len(kept)-Kept)] {
		if err := p.discard(p.generation(n)); err != nil {
			return err
		}
	}
	return nil
}
