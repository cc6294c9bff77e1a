// Package scenarios tries topologies: it renders them, runs them with
// everything around them, and says what they carry. It uses generator and
// runtime as a user does.
package scenarios

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"kasgen/generator"
	"kasgen/generator/spec"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
	"kasgen/runtime"
	"kasgen/scenarios/demo"
	"kasgen/scenarios/lab"
	"kasgen/scenarios/loopback"
)

// Commands are the commands that this room owns.
func Commands(streams cli.IO) []*cobra.Command {
	return []*cobra.Command{demoCommand(streams), scenarioCommand(streams)}
}

// demoOptions are the flags of `kasgen demo`.
type demoOptions struct {
	from                *generator.Source
	bundle              string
	cluster, kubeconfig string
	registry            runtime.Registry
	front, tls          string
	once, debug         bool
	format              cli.Format
}

func demoCommand(streams cli.IO) *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Render a topology, run it, and try every kubectl operation through it",
		Long: `Demo runs a bundle on loopback with a stand-in GitLab, an agent by WebSocket, an
agent by gRPC, and a cluster. Then it tries what people do with kubectl, over
SPDY and over WebSocket, and prints what the cluster's API server saw.

Without --cluster-kubeconfig the cluster is a stand-in too: an API server with
Kubernetes' own streaming code and one pod whose commands are processes of
yours, in a scratch directory, reachable on loopback with a random token.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), streams, o) },
	}
	o.from = generator.AddSource(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.once, "once", false, "end after the table; the exit code says whether all is as promised")
	f.StringVar(&o.bundle, "bundle", "", "run this bundle as it is instead of rendering one")
	f.StringVar(&o.cluster, "cluster-kubeconfig", "", "use the cluster of this kubeconfig")
	f.StringVar(&o.kubeconfig, "kubeconfig-out", "", "write the kubeconfig for the way through kas here")
	f.BoolVar(&o.debug, "debug", false, "print what the parts log")
	addFront(cmd, &o.front)
	f.StringVar(&o.tls, "tls", "", "who provides the certificate: developmentCA, or acme, from a CA of the lab's own (default: the spec's)")
	cli.Complete(cmd, "tls", func() []string { return []string{string(spec.TLSDevelopmentCA), string(spec.TLSACME)} })
	runtime.AddRegistry(cmd, &o.registry)
	cli.AddFormat(cmd, &o.format, cli.Text, cli.JSON, cli.JUnit)
	return cmd
}

// result is what --format json prints.
type result struct {
	Topology string      `json:"topology"`
	Cells    []demo.Cell `json:"cells"`
}

func runDemo(ctx context.Context, streams cli.IO, o demoOptions) (err error) {
	if err := checkFront(o.front); err != nil {
		return err
	}
	if o.bundle != "" && (o.from.Given() || o.tls != "") {
		return cli.Usage("--bundle runs a bundle as it is: a spec's file, flags and variables would have no effect")
	}
	streams.Err = &inTurn{w: streams.Err}
	say := func(format string, args ...any) { fmt.Fprintf(streams.Err, format+"\n", args...) }
	dir, err := os.MkdirTemp("", "kasgen-demo-")
	if err != nil {
		return err
	}
	defer closing(&err, func() error { return os.RemoveAll(dir) })
	if o.bundle == "" {
		o.bundle = filepath.Join(dir, "bundle")
		if runtime.Programs(o.front) == runtime.Native {
			o.from.More = loopback.Below(dir)
		}
		if o.tls != "" {
			o.from.More = append(o.from.More, spec.Override{Field: "tls.source", Text: o.tls, Source: "--tls"})
		}
		var ports loopback.Ports
		defer closing(&err, ports.Close)
		if err := render(streams, o, &ports); err != nil {
			return err
		}
	}
	target, config, err := o.target()
	if err != nil {
		return err
	}
	if config == nil {
		say("the cluster is a stand-in: its pod's commands are processes of yours, in a scratch directory")
	}
	level := slog.LevelWarn
	if o.debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(streams.Err, &slog.HandlerOptions{Level: level}))
	quiet(log, o.debug)
	l, err := lab.Start(ctx, lab.Options{
		Bundle: o.bundle, Version: cli.Version, Cluster: config, Registry: o.registry, Native: runtime.Programs(o.front) == runtime.Native,
		Log:  log,
		Tell: func(from, to string) { say("redirected: %s is %s here", from, to) },
	})
	if err != nil {
		return cli.Report(streams, o.format, err)
	}
	defer closing(&err, l.Close)
	for _, f := range l.Left() {
		say("left out: %s (%s)", f.What, f.Pos)
	}
	say("topology %s runs, from the files in %s", l.Topology(), o.bundle)
	for _, c := range l.Certificates() {
		say("the front's certificate for %s is of %s, obtained just now", strings.Join(c.Names, " and "), c.Issuer)
	}
	if o.kubeconfig == "" {
		o.kubeconfig = filepath.Join(dir, "kubeconfig")
	}
	kubeconfig, err := l.Kubeconfig()
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.kubeconfig, kubeconfig, 0o600); err != nil {
		return err
	}
	cells := try(ctx, l, target, say)
	promise := demo.Promised(l.Carries())
	if err := print(streams, o, l.Topology(), cells, demo.Subjects(cells, promise, len(l.Agents))); err != nil {
		return err
	}
	if !o.once && ctx.Err() == nil {
		say("\nThe demo stays up until Ctrl-C. Try:\n\n  export KUBECONFIG=%s\n  kubectl get pods\n  kubectl exec -it %s -- sh\n  kubectl --context %s port-forward %s 8080:%d",
			o.kubeconfig, target.Pod, l.Agents[len(l.Agents)-1].Name, target.Pod, target.RemotePort)
		<-ctx.Done()
		return nil
	}
	if err := demo.Judge(cells, promise, len(l.Agents)); err != nil {
		return cli.Exit{Code: cli.Failure, Err: err}
	}
	return nil
}

// inTurn is what several write to at once: the lab's listeners tell of themselves
// whenever somebody comes.
type inTurn struct {
	mu sync.Mutex
	w  io.Writer
}

func (t *inTurn) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.w.Write(p)
}

// closing adds the fault of an end to err. Where there is none, err stays the
// value that it is, which says how the command exits.
func closing(err *error, end func() error) {
	if fault := end(); fault != nil {
		*err = errors.Join(*err, fault)
	}
}

func print(streams cli.IO, o demoOptions, topology string, cells []demo.Cell, subjects []diag.Subject) error {
	switch o.format {
	case cli.JSON:
		return cli.PrintJSON(streams.Out, result{topology, cells})
	case cli.JUnit:
		return cli.PrintFindings(streams, o.format, nil, subjects...)
	default:
		return demo.WriteTable(streams.Out, cells)
	}
}

// render writes the bundle of the spec; where the real programs run, for ports.
func render(streams cli.IO, o demoOptions, ports *loopback.Ports) error {
	s, findings, err := o.from.Read(streams.In)
	if err != nil {
		return err
	}
	if s == nil {
		if err := cli.PrintFindings(streams, o.format, findings); err != nil {
			return err
		}
		return cli.Exit{Code: o.from.Code(findings)}
	}
	if runtime.Programs(o.front) == runtime.Native {
		if err := ports.Move(s); err != nil {
			return err
		}
	}
	b, err := generator.Render(s)
	if err != nil {
		return err
	}
	_, err = b.Write(o.bundle, false)
	return err
}

// clusterConfig is the cluster of a kubeconfig, without what the agent may not
// have.
func clusterConfig(path string) (*rest.Config, error) {
	c, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return c, nil
}
