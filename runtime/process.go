package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strings"

	"kasgen/internal/cli"
	"kasgen/internal/diag"
	"kasgen/runtime/host"
	"kasgen/runtime/state"
	"kasgen/runtime/systemd"
)

// process is `kasgen run` as long as it lives: one machine, and on it a bundle
// that is read again whenever somebody says so.
type process struct {
	log      *slog.Logger
	out      io.Writer
	options  runOptions
	remap    Remap
	machine  *host.Host // as every generation has it, but for the state directory
	sockets  *systemd.Sockets
	notifier systemd.Notifier
	scratch  string // of the real programs; empty: the embedded ones run
}

func newProcess(log *slog.Logger, out io.Writer, o runOptions, remap Remap) (*process, error) {
	sockets, err := systemd.Inherit()
	if err != nil {
		return nil, err
	}
	p := &process{log: log, out: out, options: o, remap: remap, machine: host.Machine(log), sockets: sockets, notifier: systemd.NewNotifier(os.Getenv)}
	p.machine.Listen = sockets.Listen(p.machine.Listen)
	return p, nil
}

// prepare makes what may be made for development, and the hosts of b's roles.
func (p *process) prepare(b *Bundle) (h, front *host.Host, err error) {
	b.UseNative(p.scratch)
	development := b.Development(p.options.state)
	missing := state.Missing(development)
	made, err := state.Ensure(development)
	for _, path := range made {
		if slices.Contains(missing, path) {
			p.log.Info("made a file for development", "path", path)
		} else {
			p.log.Warn("issued a certificate of the development CA anew: its names or its CA had changed, or its time was nearly over", "path", path)
		}
	}
	if err == nil {
		err = p.printRoot(development, made)
	}
	if err != nil {
		return nil, nil, err
	}
	of := *p.machine
	of.Path = func(path string) string { return b.Redirect(path, p.options.state) }
	of.ReadFile = func(path string) ([]byte, error) { return os.ReadFile(of.Path(path)) }
	if len(p.remap) == 0 {
		return &of, &of, nil
	}
	return &of, p.remap.Host(&of), nil
}

// printRoot prints the root of a development CA that was made now: clients have
// to trust it.
func (p *process) printRoot(development []state.Item, made []string) error {
	for _, i := range development {
		if i.Kind != state.CA || !slices.Contains(made, i.Path) {
			continue
		}
		root, err := os.ReadFile(i.Path)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(p.out, "clients trust the development CA by this root, which is %s:\n%s", i.Path, root); err != nil {
			return err
		}
	}
	return nil
}

// run serves b, and what takes its place, until ctx is done. A value from
// hangup says that the files are to be read again.
func (p *process) run(ctx context.Context, b *Bundle, hangup <-chan os.Signal) (err error) {
	defer p.sockets.Close()
	if Programs(p.options.front) == Native {
		if p.scratch, err = os.MkdirTemp("", "kasgen-front-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(p.scratch)) }()
	}
	h, front, err := p.prepare(b)
	if err != nil {
		return err
	}
	r, err := b.Start(ctx, h, front, cli.Version)
	if err != nil {
		return err
	}
	if unused := p.sockets.Unused(); len(unused) > 0 {
		r.Close()
		return fmt.Errorf("systemd has handed over sockets that no file of %s listens on: %s", p.options.dir, strings.Join(unused, ", "))
	}
	if at := p.options.observability; at != "" {
		end, fault := observe(ctx, h, at, r)
		if fault != nil {
			r.Close()
			return fault
		}
		defer func() { err = errors.Join(err, end()) }()
	}
	p.tellListeners(b, nil, r.Addrs())
	serving, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- r.Serve(serving) }()
	p.tell(p.notifier.Ready(ctx, "serving "+p.options.dir))
	for {
		select {
		case <-hangup:
			p.reload(ctx, r)
		case <-ctx.Done():
			p.tell(p.notifier.Stopping(context.WithoutCancel(ctx)))
			return <-ended
		case err := <-ended:
			return err
		}
	}
}

// reload reads the files again. Whatever is wrong with them, what runs goes on.
func (p *process) reload(ctx context.Context, r *Running) {
	p.tell(p.notifier.Reloading(ctx))
	before := r.Addrs()
	b, change, err := p.replace(ctx, r)
	r.Reloaded(err)
	if err != nil {
		p.refused(err)
		p.tell(p.notifier.Ready(ctx, "serving; the last reload failed: "+err.Error()))
		return
	}
	p.tellListeners(b, before, r.Addrs())
	p.log.Info("reloaded", "result", "success", "generation", change.Generation, "made", change.Made, "kept", change.Kept, "retired", change.Retired)
	p.tell(p.notifier.Ready(ctx, fmt.Sprintf("serving %s, generation %d", p.options.dir, change.Generation)))
}

func (p *process) replace(ctx context.Context, r *Running) (*Bundle, Change, error) {
	b, err := Read(p.options.dir, Role(p.options.role), p.options.registry)
	if err == nil {
		err = b.Complete(ctx)
	}
	if err != nil {
		return nil, Change{}, err
	}
	warn(p.log, b)
	if unused := p.remap.unused(b); len(unused) > 0 {
		p.log.Warn("--remap names ports that the front no longer listens on", "ports", unused)
	}
	h, front, err := p.prepare(b)
	if err != nil {
		return nil, Change{}, err
	}
	change, err := r.Reload(ctx, b, h, front)
	return b, change, err
}

// warn tells of what has no effect in the files.
func warn(log *slog.Logger, b *Bundle) {
	for _, f := range b.Warnings() {
		log.Warn("found in a file", "code", f.Code, "at", f.Pos.String(), "what", f.What, "why", f.Why)
	}
}

// refused tells why a reload has changed nothing: each finding by itself, with
// its place.
func (p *process) refused(err error) {
	const what = "reload refused; what runs goes on as it is"
	var found diag.Findings
	if !errors.As(err, &found) {
		p.log.Error(what, "result", "failure", "error", err)
		return
	}
	for _, f := range found {
		if f.Severity == diag.Error {
			p.log.Error("fault in a file", "code", f.Code, "at", f.Pos.String(), "what", f.What, "why", f.Why, "fix", f.Fix)
		}
	}
	p.log.Error(what, "result", "failure", "faults", len(found))
}

// tellListeners tells of the listeners that have opened and closed.
func (p *process) tellListeners(b *Bundle, before, now map[string]net.Addr) {
	for _, address := range b.Binds() {
		if _, there := before[address]; !there && now[address] != nil {
			p.log.Info("listening", "file", address, "address", now[address].String())
		}
	}
	for _, address := range slices.Sorted(maps.Keys(before)) {
		if now[address] == nil {
			p.log.Info("no longer listening", "file", address, "address", before[address].String())
		}
	}
}

// tell is for what the service manager ought to hear and may miss.
func (p *process) tell(err error) {
	if err != nil {
		p.log.Warn("the service manager was not told", "error", err)
	}
}
