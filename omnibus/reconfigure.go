package omnibus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"kasgen/generator/bundle"
	"kasgen/generator/cost"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
	"kasgen/omnibus/ledger"
)

// reconfiguration is one run of `kasgen omnibus reconfigure`.
type reconfiguration struct {
	options
	streams      cli.IO
	check, force bool
	hook         string
}

func (r *reconfiguration) run(ctx context.Context) error {
	switch r.hook {
	case "", "pre", "post", "recover":
	default:
		return cli.Usage("--hook %s: it is pre, post or recover", r.hook)
	}
	if r.check {
		if r.hook != "" {
			return cli.Usage("--check writes nothing, and a hook does")
		}
		return (&inspection{options: r.options, streams: r.streams, brief: true}).run()
	}
	if recovered, err := r.host.recover(); err != nil {
		return fmt.Errorf("putting back what a run that was ended had begun: %w", err)
	} else if recovered {
		fmt.Fprintln(r.streams.Err, "kasgen: what a run that was ended had begun was put back")
	}
	if r.hook == "recover" {
		return nil
	}
	text, _, err := r.host.read(gitlabFile)
	switch {
	case err != nil:
		return err
	case r.hook != "" && !hasLine(text):
		fmt.Fprintln(r.streams.Err, "kasgen: gitlab.rb does not read its keys, so nothing is done")
		return nil
	case !hasLine(text):
		fmt.Fprintln(r.streams.Err, "warning: gitlab.rb does not read kasgen's keys: add this to its end, or run kasgen omnibus install:", readLine)
	}
	switch r.hook {
	case "post":
		return r.after(ctx)
	case "pre":
		asking, cancel := context.WithTimeout(ctx, askLimit)
		defer cancel()
		if _, err := r.before(asking); err != nil {
			return r.refused(err)
		}
		return cmp.Or(r.stop(ctx), r.host.await())
	}
	settled, err := r.before(ctx)
	if err != nil || settled {
		return r.refused(err)
	}
	// What an earlier run has placed, and this one has not changed.
	return r.alone(ctx, func(what string) { fmt.Fprintln(r.streams.Out, what) })
}

// alone has programs read what changed where nobody runs chef. Keys of gitlab.rb
// are for chef to make effective, and the files beside them wait for it too.
func (r *reconfiguration) alone(ctx context.Context, say func(string)) error {
	list, since, err := r.host.readPending()
	if err != nil {
		return err
	}
	if slices.Contains(list, RubyPath) {
		if done, err := r.host.reconfigured(since); err != nil {
			return err
		} else if !done {
			say("keys of gitlab.rb have changed: run gitlab-ctl reconfigure, after which programs read the files")
			return nil
		}
	}
	if err := r.stop(ctx); err != nil {
		return err
	}
	return r.settle(ctx, false, say)
}

// before renders and places. Where no chef run is to follow, programs read what
// changed before it counts, and settled is true.
func (r *reconfiguration) before(ctx context.Context) (settled bool, err error) {
	p, err := r.planned(ctx)
	if err != nil {
		return false, err
	}
	if p.findings.Failed() {
		return false, p.findings.Err()
	}
	if err := said(r.streams, p.findings); err != nil {
		return false, err
	}
	if found, err := p.overruledNow(); err != nil {
		return false, err
	} else if found.Failed() {
		return false, found.Err()
	} else if err := cli.PrintFindings(r.streams, cli.Text, found); err != nil {
		return false, err
	}
	if p, err = p.withPending(nil, r.force); err != nil {
		return false, err
	}
	refused, included := r.host.nginxRefuses(ctx)
	placeholder, err := p.placeholder()
	if err != nil {
		return false, err
	}
	var told []string
	asked := false
	c, changes, err := p.apply(append(placeholder, p.note...), r.force, func() error {
		asked = true
		if err := p.nginxAccepts(ctx, refused); err != nil || r.hook == "pre" {
			return err
		}
		settled = true
		return r.alone(ctx, func(what string) { told = append(told, what) })
	})
	if err != nil && settled {
		r.again(ctx, p)
		return true, fmt.Errorf("%w\nthe files that were there before are back", err)
	}
	if err != nil {
		return false, err
	}
	if r.hook == "pre" && !asked && !included {
		// install placed them, and nginx has not read them yet.
		if err := p.nginxAccepts(ctx, nil); err != nil {
			return false, err
		}
	}
	if c.Same() && len(changes) == 0 {
		fmt.Fprintln(r.streams.Out, "kasgen: nothing is to be changed")
		return false, nil
	}
	if err := r.print(c, changes); err != nil {
		return settled, err
	}
	for _, what := range told {
		fmt.Fprintln(r.streams.Out, what)
	}
	return settled, nil
}

// print says what has changed, and what that costs.
func (r *reconfiguration) print(c *bundle.Comparison, changes []ledger.Change) error {
	for _, change := range c.Changes {
		fmt.Fprintf(r.streams.Out, "%-7s %s/%s\n", change.Kind, Directory, change.Path)
	}
	for _, change := range changes {
		if change.Path != r.host.at(pendingFile) {
			fmt.Fprintf(r.streams.Out, "%-7s %s\n", verb(change), change.Path)
		}
	}
	if len(c.Changes) > 0 {
		if err := cost.Of(c.Before(), c.After()).WriteText(r.streams.Out); err != nil {
			return err
		}
	}
	return nil
}

// planned is what the host is to become. Settings of the last run prove nothing
// of the next one: where they are at fault, Omnibus is asked what they are now.
func (r *reconfiguration) planned(ctx context.Context) (*plan, error) {
	var p *plan
	now := r.options
	for _, ask := range []bool{false, true} {
		if ask && r.host.rewritten() {
			break // it was asked, and has not said
		}
		known, found, err := r.current(ctx, ask, r.warn)
		if err != nil {
			return nil, fmt.Errorf("reading Omnibus's settings: %w", err)
		}
		now.settled = known
		if p, err = now.make(); err != nil {
			return nil, err
		}
		p.findings = append(p.findings, standing(found, p.settings)...)
		if !p.findings.Failed() || known == nil || known.now || len(found) > 0 || r.attributes != "" || !r.host.has(gitlabCtl) {
			return p, nil
		}
	}
	now.doubted = true
	return now.make()
}

// stop ends services whose units are gone, before chef has GitLab's nginx take
// their ports back.
func (r *reconfiguration) stop(ctx context.Context) error {
	list, _, err := r.host.readPending()
	if err != nil {
		return err
	}
	if err := r.host.stopGone(ctx, list); err != nil {
		fmt.Fprintln(r.streams.Err, "warning:", err)
	}
	return nil
}

// refused gives what is proven to be invalid the exit code that stops a
// reconfigure.
func (r *reconfiguration) refused(err error) error {
	found, ok := errors.AsType[diag.Findings](err)
	if !ok {
		return err
	}
	if err := cli.PrintFindings(r.streams, cli.Text, found); err != nil {
		return err
	}
	if r.hook == "pre" && slices.ContainsFunc(found, invalid) {
		return cli.Exit{Code: Refused}
	}
	return cli.Exit{Code: cli.Failure}
}

// invalid says whether a finding proves that what would be placed is invalid.
// That somebody changed a file, or is writing, only keeps the old files, which
// GitLab goes on with.
func invalid(f diag.Finding) bool {
	return f.Severity == diag.Error && !slices.Contains([]string{bundle.CodeEdited, bundle.CodeExtra, bundle.CodeForeign, bundle.CodeBroken, bundle.CodeBusy}, f.Code)
}

// after reloads what chef's run has made effective, and asks whether kas can be
// reached. Chef has ended, so that nothing here is a failure of it.
func (r *reconfiguration) after(ctx context.Context) error {
	list, _, err := r.host.readPending()
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return r.tellOverruled()
	}
	err = r.settle(ctx, true, func(what string) { fmt.Fprintln(r.streams.Out, "kasgen: "+what) })
	if errors.Is(err, errFailed) {
		fmt.Fprintln(r.streams.Err, "kasgen:", err)
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.tellOverruled(); err != nil {
		return err
	}
	if !r.host.real() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	if err := r.host.run(ctx, cmp.Or(r.binary, r.host.installedBinary()), "probe", "--bundle", Directory, "--timeout", "3s", "--wait", "10s"); err != nil {
		fmt.Fprintln(r.streams.Err, "kasgen: the way to kas does not pass everything:", err)
	}
	return nil
}

// tellOverruled says which of our keys have another value now that chef has run:
// a later line of gitlab.rb has won.
func (r *reconfiguration) tellOverruled() error {
	if r.host.rewritten() {
		return nil // chef has failed: it has not worked with gitlab.rb as it is
	}
	now := r.options
	now.inEffect = true
	p, err := now.make()
	if err != nil || p.bundle == nil || p.resolved == nil {
		return err // the files are in place; whatever is wrong now is the next run's to say
	}
	return cli.PrintFindings(r.streams, cli.Text, overruled(p.settings, p.resolved))
}

// probeLimit is how long a probe may hold up the end of a reconfigure.
const probeLimit = 20 * time.Second

// withPending has the note of what is to be reloaded among the changes, if
// anything is.
func (p *plan) withPending(more []ledger.Change, force bool) (*plan, error) {
	c, err := p.bundle.Compare(p.host.bundle())
	if err != nil {
		return nil, err
	}
	if found := c.Guard(p.host.bundle()); found.Failed() && !force {
		return nil, found.Err()
	}
	units, err := p.changes()
	if err != nil {
		return nil, err
	}
	var changed []string
	for _, change := range c.Changes {
		changed = append(changed, change.Path)
	}
	for _, u := range units {
		changed = append(changed, path.Join(unitsFolder, filepath.Base(u.Path)))
	}
	if len(changed) == 0 {
		return p, nil
	}
	note, err := p.pending(changed)
	p.note = []ledger.Change{note}
	return p, err
}

// notEmpty says whether a folder could not be removed because something is in
// it.
func notEmpty(err error) bool {
	return errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST)
}
