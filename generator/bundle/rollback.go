package bundle

import (
	"fmt"
	"strings"

	"kasgen/internal/diag"
)

// Rollback makes dir one of its generations again and returns what changed
// and which generation it was; n 0 asks for the newest whole one that dir does
// not hold. dir may be in any state, and missing. What people did to dir is a
// diag.Findings, unless force is given, and stays as a generation; so does the
// rest, and the result is a new generation.
func Rollback(dir string, n int, force bool, options ...Option) (*Comparison, error) {
	return rollback(with(options), dir, n, force)
}

func rollback(d disk, dir string, n int, force bool) (*Comparison, error) {
	p, err := find(dir)
	if err != nil {
		return nil, fmt.Errorf("rolling back: %w", err)
	}
	p.disk = d
	// A directory that never was a bundle gets nothing beside it.
	if ok, err := exists(p.at()); err != nil {
		return nil, fmt.Errorf("rolling back: %w", err)
	} else if !ok {
		return nil, unknown(dir, n, nil)
	}
	unlock, err := p.lock()
	if err != nil {
		return nil, writing(err)
	}
	defer unlock()
	warnings, err := p.recover()
	if err != nil {
		return nil, fmt.Errorf("rolling back: cleaning up after a run that was killed: %w", err)
	}
	c, err := p.target(dir, n)
	if err != nil {
		return nil, err
	}
	c.Warnings = warnings
	if c.Same() {
		return c, nil
	}
	if err := refused(c.Guard(dir), force); err != nil {
		return nil, err
	}
	return p.finish(c, func(d disk, to string) error { return d.copyTree(p.generation(c.From), to) })
}

// CompareGeneration is what Rollback would change; it changes nothing.
func CompareGeneration(dir string, n int) (*Comparison, error) {
	p, err := find(dir)
	if err != nil {
		return nil, fmt.Errorf("comparing generations: %w", err)
	}
	return p.target(dir, n)
}

// target compares dir with the generation that n asks for.
func (p place) target(dir string, n int) (*Comparison, error) {
	h, err := p.history()
	if err != nil {
		return nil, fmt.Errorf("reading the generations of %s: %w", dir, err)
	}
	g := h.choose(n)
	if g == nil {
		return nil, unknown(dir, n, h)
	}
	files, err := load(p.generation(g.Number))
	if err != nil {
		return nil, fmt.Errorf("reading generation %d: %w", g.Number, err)
	}
	c, err := compareWith(p.dir, files)
	if err != nil {
		return nil, err
	}
	c.From, c.held = g.Number, g.Current
	return c, nil
}

// choose is generation n, or, for 0, the newest that is whole and not in
// place; nil if there is none.
func (h *History) choose(n int) *Generation {
	for i := len(h.Generations) - 1; i >= 0; i-- {
		g := &h.Generations[i]
		if g.Number == n || n == 0 && g.Whole() && !g.Current {
			return g
		}
	}
	return nil
}

func unknown(dir string, n int, h *History) error {
	f := diag.Finding{Code: CodeGeneration, Pos: diag.Pos{File: dir},
		What: "there is no generation to go back to", Why: "generations are made by `kasgen render -o`, and none that is whole and is not in place is kept",
		Fix: "render again"}
	if n != 0 {
		f.What, f.Why = fmt.Sprintf("there is no generation %d", n), "none is kept"
	}
	if h != nil && len(h.Generations) > 0 {
		var list []string
		for _, g := range h.Generations {
			list = append(list, fmt.Sprint(g.Number))
		}
		f.Why = "kept are " + strings.Join(list, ", ")
		f.Fix = "choose one of these; `kasgen rollback " + dir + " --list` says what they are"
	}
	var fs diag.Findings
	fs.Add(f)
	return fs
}
