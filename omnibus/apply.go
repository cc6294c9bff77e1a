package omnibus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"kasgen/generator/bundle"
	"kasgen/internal/diag"
	"kasgen/omnibus/ledger"
)

// recover puts back what a run that was ended left half done.
func (h host) recover() (bool, error) {
	return h.ledger().Recover(h.unbundle)
}

// withBundle is the note of changes after which the bundle goes as well.
const withBundle = " and the bundle goes"

// afterChanges takes the bundle away where that was left to do.
func (h host) afterChanges(note string) error {
	if !strings.HasSuffix(note, withBundle) {
		return nil
	}
	return h.withoutBundle()
}

// unbundle makes the bundle the generation that note has, or takes it away.
func (h host) unbundle(note string) error {
	n, err := strconv.Atoi(strings.TrimSuffix(note, withBundle))
	if err != nil {
		return fmt.Errorf("a generation is a number: %q", note)
	}
	if n == 0 {
		return h.withoutBundle()
	}
	if strings.HasSuffix(note, withBundle) {
		return nil // it was to go last, and is there
	}
	_, err = bundle.Rollback(h.bundle(), n, true, bundle.Before(h.before))
	return err
}

// withoutBundle removes the bundle and its generations.
func (h host) withoutBundle() error {
	beside := filepath.Join(filepath.Dir(h.bundle()), "."+filepath.Base(h.bundle())+".generations")
	for _, dir := range []string{h.bundle(), beside} {
		if h.before != nil {
			h.before()
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}

// generation is the one in place, or 0 where there is no bundle.
func (h host) generation() (int, error) {
	history, err := bundle.Generations(h.bundle())
	if err != nil {
		return 0, err
	}
	for _, g := range history.Generations {
		if g.Current {
			return g.Number, nil
		}
	}
	if _, err := os.Stat(h.bundle()); err == nil {
		// Somebody edited it. Guard has refused that, or --force was given, and
		// the edit becomes a generation when it is replaced.
		if n := len(history.Generations); n > 0 {
			return history.Generations[n-1].Number, nil
		}
	}
	return 0, nil
}

// apply makes a host what a plan says, with more changes of the caller's, all
// or nothing. try is the last word of others before it counts: where it fails,
// everything is put back.
func (p *plan) apply(more []ledger.Change, force bool, try func() error) (*bundle.Comparison, []ledger.Change, error) {
	h := p.host
	if err := os.MkdirAll(filepath.Dir(h.bundle()), 0o755); err != nil {
		return nil, nil, err
	}
	c, err := p.bundle.Compare(h.bundle())
	if err != nil {
		return nil, nil, err
	}
	if found := c.Guard(h.bundle()); found.Failed() && !force {
		return nil, nil, found.Err()
	}
	changes, err := p.changes()
	if err != nil {
		return nil, nil, err
	}
	changes = append(changes, more...)
	if c.Same() && len(changes) == 0 {
		return c, nil, nil
	}
	n, err := h.generation()
	if err != nil {
		return nil, nil, err
	}
	l := h.ledger()
	if err := l.Begin(strconv.Itoa(n), changes); err != nil {
		return nil, nil, err
	}
	work := func() error {
		if c, err = p.bundle.Write(h.bundle(), force, bundle.Before(h.before)); err != nil {
			return err
		}
		if err := l.Apply(changes); err != nil {
			return err
		}
		return try()
	}
	if err := work(); err != nil {
		_, undone := h.recover()
		return nil, nil, errors.Join(err, undone)
	}
	return c, changes, l.Commit()
}

// nginxRefuses is why the package's nginx does not read its files as they are;
// nil where it does, or cannot be asked, which proves nothing.
func (h host) nginxRefuses(ctx context.Context) error {
	if !h.has(nginxBinary) || !h.has(filepath.Join(nginxPrefix, "conf/nginx.conf")) {
		return nil
	}
	if err := h.run(ctx, h.at(nginxBinary), "-t", "-p", h.at(nginxPrefix)); exitCode(err) > 0 {
		return err
	}
	return nil
}

// nginxAccepts has the package's nginx read its files, ours among them. before is
// why it refused them as they were: what was broken then is not ours to stop,
// unless it names a file of ours.
func (h host) nginxAccepts(ctx context.Context, before error) error {
	err := h.nginxRefuses(ctx)
	if err == nil || before != nil && !strings.Contains(err.Error(), h.bundle()) {
		return nil
	}
	var fs diag.Findings
	fs.Add(diag.Finding{Code: CodeNginx, Pos: diag.Pos{File: filepath.Join(h.bundle(), vhostsPath)}, What: "GitLab's nginx refuses the vhosts",
		Why: err.Error(), Fix: "see what it says; the files that were there before are back"})
	return fs
}
