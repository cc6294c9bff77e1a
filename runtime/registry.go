package runtime

import (
	"bytes"
	"context"
	"slices"

	"github.com/spf13/cobra"

	"kasgen/internal/cli"
	"kasgen/internal/diag"
	"kasgen/runtime/kas"
)

// Registry is where the embedded kas keeps agents' tunnels: a --registry flag.
type Registry string

// Memory is this process's, whatever kas-config.yaml says of Redis. Without it
// the file has the last word.
const Memory Registry = "memory"

// Set reads the flag.
func (r *Registry) Set(s string) error {
	if s != string(Memory) {
		return cli.Usage("it is %s", Memory)
	}
	*r = Registry(s)
	return nil
}

func (r *Registry) String() string { return string(*r) }

// Type names the flag's value in help texts.
func (r *Registry) Type() string { return string(Memory) }

// AddRegistry gives cmd the flag.
func AddRegistry(cmd *cobra.Command, r *Registry) {
	cmd.Flags().Var(r, "registry", "keep agents' tunnels in this process's memory though kas-config.yaml has a section redis")
	cli.Complete(cmd, "registry", func() []string { return []string{string(Memory)} })
}

// option is what a kas-config.yaml is read with.
func (r Registry) option() kas.Option {
	if r == Memory {
		return kas.TunnelsInMemory()
	}
	return func(*kas.Config) {}
}

// Complete runs what the files name that adds to them: config.command of
// kas-config.yaml. Faults are a diag.Findings.
func (b *Bundle) Complete(ctx context.Context) error {
	if b.kas == nil {
		return nil
	}
	whole, err := b.kas.Complete(ctx)
	if err != nil {
		return err
	}
	b.kas = whole
	b.data[kasFile] = append(bytes.Clone(b.data[kasFile]), whole.Extra()...)
	return nil
}

// Warnings are findings for what has no effect in the roles that were read, or
// is not run.
func (b *Bundle) Warnings() diag.Findings {
	if b.kas == nil {
		return slices.Clone(b.left)
	}
	return slices.Concat(b.left, b.kas.Warnings())
}
