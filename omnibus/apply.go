package omnibus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
// nil where it does, or cannot be asked, which proves nothing. ours says whether
// kasgen's are among them: not before chef has written that they are.
func (h host) nginxRefuses(ctx context.Context) (refusal error, ours bool) {
	conf, there, err := h.read(filepath.Join(nginxPrefix, "conf/nginx.conf"))
	if err != nil || !there || !h.has(nginxBinary) {
		return nil, false
	}
	if err := h.run(ctx, h.at(nginxBinary), "-t", "-p", h.at(nginxPrefix)); exitCode(err) > 0 {
		refusal = err
	}
	return refusal, bytes.Contains(conf, []byte(Directory+"/"+VhostsFolder+"/"))
}

// nginxRefusesAlone is why the package's nginx does not read the vhosts in a
// file that has nothing else, but what they take from Omnibus's. It says so of
// one of ours: the vhosts, and the certificate that they name.
func (h host) nginxRefusesAlone(ctx context.Context, ours []string) error {
	if !h.has(nginxBinary) || !h.has(filepath.Join(Directory, vhostsPath)) {
		return nil
	}
	dir, err := os.MkdirTemp("", "kasgen-nginx-")
	if err != nil {
		return nil // nothing is proven
	}
	defer func() { _ = os.RemoveAll(dir) }() // a leftover in /tmp is read by nobody
	// Its own prefix: nginx makes directories there, and gives them to its user.
	conf := fmt.Sprintf("error_log stderr;\npid %s/pid;\nevents {}\nhttp {\n  server_names_hash_bucket_size 256;\n  log_format gitlab_access '$remote_addr';\n  include %s;\n}\n",
		dir, filepath.Join(h.bundle(), VhostsFolder, "*.conf"))
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil
	}
	// Only what it says of our files is a proof: the rest of this one is not
	// Omnibus's.
	err = h.run(ctx, h.at(nginxBinary), "-t", "-p", dir, "-c", file)
	if exitCode(err) > 0 && slices.ContainsFunc(ours, func(path string) bool { return strings.Contains(faulty(err), path) }) {
		return err
	}
	return nil
}

// faulty are the lines of what nginx has said that keep it from starting.
func faulty(err error) string {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if strings.Contains(line, "[emerg]") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// nginxAccepts has the package's nginx read its files, ours among them. before is
// why it refused them as they were: what was broken then is not ours to stop,
// unless it names a file of ours. Before chef's first run it reads ours alone.
func (p *plan) nginxAccepts(ctx context.Context, before error) error {
	h := p.host
	err, included := h.nginxRefuses(ctx)
	if !included {
		ours := []string{h.bundle()}
		if p.watched != "" {
			ours = append(ours, p.watched)
		}
		err, before = h.nginxRefusesAlone(ctx, ours), nil
	}
	if err == nil || before != nil && !strings.Contains(faulty(err), h.bundle()) {
		return nil
	}
	var fs diag.Findings
	fs.Add(diag.Finding{Code: CodeNginx, Pos: diag.Pos{File: filepath.Join(h.bundle(), vhostsPath)}, What: "GitLab's nginx refuses the vhosts",
		Why: err.Error(), Fix: "see what it says; files that this run has changed are back as they were"})
	return fs
}
