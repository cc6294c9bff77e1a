package runtime

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"kasgen/internal/cli"
	"kasgen/internal/diag"
	"kasgen/runtime/probe"
	"kasgen/runtime/state"
)

// Commands are the commands that this room owns.
func Commands(streams cli.IO) []*cobra.Command {
	return []*cobra.Command{runCommand(streams), probe.Command(streams), unitsCommand(streams), topologyCommand(streams), certsCommand(streams)}
}

// runOptions are the flags of `kasgen run`.
type runOptions struct {
	dir, state, remap string
	role              string
	front             string
	observability     string
	registry          Registry
	check, debug      bool
	format            cli.Format
}

func runCommand(streams cli.IO) *cobra.Command {
	o := runOptions{format: cli.Text}
	cmd := &cobra.Command{
		Use:   "run DIR",
		Short: "Run a bundle: TCP balancer, edge and kas, from the files in DIR alone",
		Long: `Run reads the files of a bundle as the programs do that they are written for,
and is those programs. It ends on SIGTERM or SIGINT after giving open streams
the time that the files say. On SIGHUP it reads the files again: what changed is
made anew beside what runs, which lives on until its streams have ended; files
that cannot be run change nothing.

Where kas-config.yaml has config.command, run executes it, as GitLab's kas does,
with the environment and rights of this process, for 30 s at the most, and reads
the YAML that it prints over the file; so it does when it reads the files again.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.dir = args[0]
			return run(cmd.Context(), streams, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.state, "state", "", "use this directory in place of the bundle's state directory")
	f.StringVar(&o.role, "role", string(All), "what to run: all, front, edge, kas or certs")
	f.StringVar(&o.remap, "remap", "", "move ports of the front, as in 443=8443,80=8080 (0: any free port)")
	f.StringVar(&o.front, "front", string(Embedded), "what runs the front's files: embedded, or native: the real nginx and HAProxy")
	f.StringVar(&o.observability, "observability", "", "serve /liveness, /readiness and /metrics of all that runs here at this address, host:port")
	f.BoolVar(&o.check, "check", false, "read and check everything, and change and open nothing")
	f.BoolVar(&o.debug, "debug", false, "log connections that end early, too")
	AddRegistry(cmd, &o.registry)
	cli.AddFormat(cmd, &o.format)
	cli.Complete(cmd, "role", func() []string { return words(roles()) })
	cli.Complete(cmd, "front", func() []string { return []string{string(Embedded), string(Native)} })
	cli.CompleteDir(cmd)
	return cmd
}

// checkFront says what does not go with the real programs.
func (o runOptions) checkFront() error {
	switch Programs(o.front) {
	case Embedded:
		return nil
	case Native:
	default:
		return cli.Usage("--front %s: it is embedded or native", o.front)
	}
	if o.remap != "" {
		return cli.Usage("--remap goes with --front embedded alone: nginx and HAProxy listen where their files say")
	}
	if o.state != "" {
		return cli.Usage("--state goes with --front embedded alone: nginx and HAProxy read the paths in their files")
	}
	return nil
}

func run(ctx context.Context, streams cli.IO, o runOptions) error {
	role := Role(o.role)
	if !slices.Contains(roles(), role) {
		return cli.Usage("--role %s: it is one of all, front, edge, kas and certs", o.role)
	}
	remap, err := ParseRemap(o.remap)
	if err != nil {
		return cli.Usage("--remap: %v", err)
	}
	if err := o.checkFront(); err != nil {
		return err
	}
	// From here on, or a SIGHUP while the files are read would end the process.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	b, err := Read(o.dir, role, o.registry)
	if err != nil {
		return cli.Report(streams, o.format, err, b.Subjects()...)
	}
	if unused := remap.unused(b); len(unused) > 0 {
		return cli.Usage("--remap: the front of %s does not listen on %v, only on %s", o.dir, unused, strings.Join(b.frontBinds(), ", "))
	}
	if o.check {
		return check(streams, b, o)
	}
	if err := b.Complete(ctx); err != nil {
		return cli.Report(streams, o.format, err, b.Subjects()...)
	}
	level := slog.LevelInfo
	if o.debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(streams.Err, &slog.HandlerOptions{Level: level}))
	warn(log, b)
	p, err := newProcess(log, streams.Out, o, remap)
	if err == nil {
		err = p.run(ctx, b, hangup)
	}
	if err != nil {
		return cli.Exit{Code: cli.Failure, Err: err}
	}
	log.Info("stopped")
	return nil
}

// check tells what run would do.
func check(streams cli.IO, b *Bundle, o runOptions) error {
	fs := b.Warnings()
	development := b.Development(o.state)
	for _, path := range b.Files() {
		at := b.Redirect(path, o.state)
		if _, err := os.Stat(at); err == nil {
			continue
		}
		f := diag.Finding{Code: "KAS3101", Severity: diag.Warning, Pos: diag.Pos{File: o.dir}, Field: path,
			What: fmt.Sprintf("the file %s is not there", at), Fix: "put it there before `kasgen run`"}
		if slices.ContainsFunc(development, func(i state.Item) bool {
			return i.Path == at || i.Kind == state.Certificate && (state.KeyPath(i.Path) == at || state.CombinedPath(i.Path) == at)
		}) {
			f.Fix = "nothing to do: `kasgen run` makes it, for development"
		}
		if b.Obtained(path) {
			f.Fix = "nothing to do: `kasgen run` obtains it"
		}
		fs.Add(f)
	}
	if err := cli.PrintFindings(streams, o.format, fs, b.Subjects()...); err != nil || o.format.Document() {
		return err
	}
	for _, address := range b.Binds() {
		if _, err := fmt.Fprintf(streams.Out, "would listen on %s\n", address); err != nil {
			return err
		}
	}
	return nil
}

func words(roles []Role) []string {
	out := make([]string, len(roles))
	for i, r := range roles {
		out[i] = string(r)
	}
	return out
}
