package omnibus

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"kasgen/generator/bundle"
	"kasgen/internal/diag"
)

// showLimit is how long gitlab-ctl may take to evaluate gitlab.rb.
const showLimit = 30 * time.Second

// current are the settings that the next run of chef will have: those of the last
// one, or what gitlab.rb says where that was written since. Where Omnibus does not
// evaluate that, found is why, and where nobody knows why, warn hears that; what
// it prints holds secrets, and nobody sees that.
//
// Other files than gitlab.rb hold settings too. With ask nobody goes by when it
// was written.
func (o options) current(ctx context.Context, ask bool, warn func(format string, args ...any)) (r *Resolved, found diag.Findings, err error) {
	if o.attributes != "" || !o.host.has(gitlabCtl) || !ask && !o.host.rewritten() {
		r, err = ReadResolved(o.attributes, o.host.root)
		return r, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, showLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, o.host.at(gitlabCtl), "show-config")
	cmd.WaitDelay = time.Second // a child of its own may hold the pipe
	var text, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &errs
	failure := cmd.Run()
	switch {
	case failure == nil:
		if r, failure = ParseResolved(showConfig, text.Bytes()); failure == nil {
			r.now = true
			return r, nil, nil
		}
	case exitCode(failure) > 0:
		// Chef's formatter writes to the one, Ruby and its log to the other.
		found = raised(showConfig, text.String()+"\n"+errs.String())
	}
	if len(found) == 0 {
		warn("kasgen: `gitlab-ctl show-config` does not say what Omnibus's settings are now, so the settings of the last run count: %v", failure)
	}
	r, err = ReadResolved("", o.host.root)
	return r, found, err
}

// showConfig is where such settings are from.
const showConfig = "gitlab-ctl show-config"

// known says whether what is known of the settings is of a gitlab.rb that reads
// our keys, and not of before.
func (p *plan) known() bool {
	if p.resolved == nil || p.attributes != "" {
		return false // nobody knows when those were written
	}
	text, _, err := p.host.read(gitlabFile)
	return err == nil && hasLine(text) && (p.resolved.now || !p.host.rewritten())
}

// overruledNow is what a line of gitlab.rb below ours has replaced already. It
// is known where our keys are those that gitlab.rb was evaluated with.
func (p *plan) overruledNow() (diag.Findings, error) {
	if !p.known() {
		return nil, nil
	}
	if !p.resolved.now {
		if list, _, err := p.host.readPending(); err != nil || len(list) > 0 {
			return nil, err // chef has not seen them yet
		}
	}
	placed, _, err := p.host.read(filepath.Join(Directory, RubyPath))
	if err != nil {
		return nil, err
	}
	same := slices.ContainsFunc(p.bundle.Files, func(f bundle.File) bool { return f.Path == RubyPath && bytes.Equal(f.Data, placed) })
	if !same {
		return nil, nil
	}
	return overruled(p.settings, p.resolved), nil
}

// rewritten says whether gitlab.rb is newer than what chef last worked with.
func (h host) rewritten() bool {
	info, err := os.Stat(h.at(gitlabFile))
	if err != nil {
		return false
	}
	done, err := h.reconfigured(info.ModTime())
	return err == nil && !done
}

// warn is for a person at a terminal or in a log.
func (r *reconfiguration) warn(format string, args ...any) {
	fmt.Fprintf(r.streams.Err, format+"\n", args...)
}
