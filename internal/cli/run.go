package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"kasgen/internal/diag"
)

// Root is a command tree with the given commands.
func Root(streams IO, commands ...*cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use:           "kasgen",
		Short:         "Reach GitLab's agent server for Kubernetes (kas) by every kind of traffic",
		Version:       Version,
		SilenceErrors: true, // Run prints them
		SilenceUsage:  true,
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	root.AddCommand(commands...)
	root.InitDefaultCompletionCmd() // now, so that it is prepared as the others are
	prepare(root)
	return root
}

// prepare makes complaints about flags and arguments usage errors in the whole
// tree, and a command that only groups others print its help.
func prepare(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return Usage("%w\nSee '%s --help'.", err, cmd.CommandPath())
	})
	if cmd.HasSubCommands() && !cmd.Runnable() {
		cmd.Args = known
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	if cmd.Args != nil {
		cmd.Args = usageArgs(cmd.Args)
	}
	for _, sub := range cmd.Commands() {
		prepare(sub)
	}
}

// known refuses an argument where the name of a subcommand belongs.
func known(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	if near := diag.Nearest(args[0], names); near != "" {
		return fmt.Errorf("unknown command %q, did you mean %q?", args[0], near)
	}
	return fmt.Errorf("unknown command %q", args[0])
}

func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return Usage("%w\nSee '%s --help'.", err, cmd.CommandPath())
		}
		return nil
	}
}

// Run runs the tree with args, prints the error if there is one, and returns
// the exit code.
func Run(ctx context.Context, root *cobra.Command, args []string) int {
	// nil would make cobra take the process's own arguments.
	root.SetArgs(append([]string{}, args...))
	err := root.ExecuteContext(ctx)
	report(root.ErrOrStderr(), err)
	return Code(err)
}

func report(w io.Writer, err error) {
	if err == nil {
		return
	}
	if e, ok := err.(Exit); ok && e.Err == nil { //nolint:errorlint // a wrapped Exit has words of its own
		return
	}
	fmt.Fprintln(w, "error: "+strings.TrimRight(err.Error(), "\n"))
}
