// Command kasgen renders, runs and proves the ways to reach GitLab's agent
// server for Kubernetes. This file owns the process: its streams, its signals
// and the list of commands.
package main

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
	// The roots of CAs, for an image that has nothing but this program.
	_ "golang.org/x/crypto/x509roots/fallback"

	"kasgen/chart"
	"kasgen/generator"
	"kasgen/internal/cli"
	"kasgen/internal/manual"
	"kasgen/omnibus"
	"kasgen/runtime"
	"kasgen/scenarios"
)

// targets lists the rooms that take a topology to somebody's installer.
func targets() []generator.Target {
	return []generator.Target{omnibus.Target(), chart.Target()}
}

// commands lists every room's commands.
func commands(streams cli.IO) []*cobra.Command {
	return slices.Concat(
		generator.Commands(streams, targets()...),
		runtime.Commands(streams),
		scenarios.Commands(streams),
		chart.Commands(streams),
		[]*cobra.Command{importCommand(streams)},
		omnibus.Commands(streams),
		manual.Commands(streams),
	)
}

// importCommand has the rooms that read what runs already.
func importCommand(streams cli.IO) *cobra.Command {
	cmd := &cobra.Command{
		Use: "import", Short: "Describe what runs already as a kasgen.yaml", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(slices.Concat(omnibus.Imports(streams), chart.Imports(streams))...)
	return cmd
}

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	// After the first signal the default comes back, so that a second one ends
	// a process whose draining nobody wants to wait for.
	context.AfterFunc(ctx, stop)
	streams := cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	return cli.Run(ctx, cli.Root(streams, commands(streams)...), os.Args[1:])
}
