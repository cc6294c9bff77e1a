package generator

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kasgen/generator/bundle"
	"kasgen/generator/spec"
	"kasgen/generator/topology"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
	"kasgen/internal/lockfile"
)

// Plain is the target that adds nothing: the programs' own files.
const Plain = "plain"

// Target is a form in which somebody else's installer takes a topology.
// Facts go in and files come out; it decides nothing about the topology.
type Target struct {
	Name    string // as --target has it
	Example string // the kasgen.yaml that stands in for a missing one; empty: spec.Example
	// Defaults fills in what a kasgen.yaml leaves out; nil: nothing.
	Defaults spec.Defaults
	// Renderer declares the target's own flags, whose names no other target
	// has, and gives what reads them once they are parsed. It is called once
	// for each command.
	Renderer func(*pflag.FlagSet) Renderer
}

// Renderer writes the files of a target. Errors among the findings are faults
// of the spec for this target; then there are no files.
type Renderer func(Facts) ([]bundle.File, diag.Findings, error)

// Facts are what a target makes its files from.
type Facts struct {
	Spec     *spec.Spec // without faults, every default filled in
	At       Places     // where a field of the spec was written
	Topology topology.Topology
	Files    []bundle.File // what the plain target writes
}

// Places gives the place of a spec's field, or of the section around it.
type Places func(field string) diag.Pos

// choice is which target a command was told.
type choice struct {
	name    string
	targets []chosenTarget
}

type chosenTarget struct {
	Target
	flags  *pflag.FlagSet
	render Renderer
}

// AddTargets gives cmd --target, and the flags of each target.
func (s *Source) AddTargets(cmd *cobra.Command, targets []Target) {
	names := []string{Plain}
	s.target.name = Plain
	for _, t := range targets {
		flags := pflag.NewFlagSet(t.Name, pflag.ContinueOnError)
		one := chosenTarget{Target: t, flags: flags, render: t.Renderer(flags)}
		cmd.Flags().AddFlagSet(flags)
		s.target.targets = append(s.target.targets, one)
		names = append(names, t.Name)
	}
	cmd.Flags().StringVar(&s.target.name, "target", Plain, "what installs the files: "+strings.Join(names, ", "))
	cli.Complete(cmd, "target", func() []string { return names })
}

// For gives cmd one target, which it renders for without being told, and that
// target's flags.
func (s *Source) For(cmd *cobra.Command, t Target) {
	flags := pflag.NewFlagSet(t.Name, pflag.ContinueOnError)
	s.target = choice{name: t.Name, targets: []chosenTarget{{Target: t, flags: flags, render: t.Renderer(flags)}}}
	cmd.Flags().AddFlagSet(flags)
}

// chosen is the target that was told, or nil for the plain one.
func (c *choice) chosen() (*chosenTarget, error) {
	names := []string{Plain}
	var found *chosenTarget
	for i, t := range c.targets {
		names = append(names, t.Name)
		if t.Name == c.name {
			found = &c.targets[i]
			continue
		}
		var err error
		t.flags.VisitAll(func(f *pflag.Flag) {
			if f.Changed {
				err = cli.Usage("--%s goes with --target %s", f.Name, t.Name)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	if found == nil && c.name != Plain && c.name != "" {
		return nil, cli.Usage("--target %s: it is one of %s", c.name, strings.Join(names, ", "))
	}
	return found, nil
}

// Render is the bundle of a spec that Read gave, for the target that was told.
// Findings that fail come without a bundle.
func (s *Source) Render(read *spec.Spec) (*bundle.Bundle, diag.Findings, error) {
	t, err := s.target.chosen()
	if err != nil {
		return nil, nil, err
	}
	if t == nil {
		b, err := Render(read)
		return b, nil, err
	}
	return RenderFor(t.Name, read, s.at, t.render)
}

// RenderFor is the bundle of a spec without faults for a target. Findings that
// fail come without a bundle.
func RenderFor(name string, s *spec.Spec, at Places, render Renderer) (*bundle.Bundle, diag.Findings, error) {
	t, files, err := plain(s)
	if err != nil {
		return nil, nil, err
	}
	files, findings, err := render(Facts{Spec: s, At: at, Topology: t, Files: files})
	if err != nil {
		return nil, nil, fmt.Errorf("target %s: %w", name, err)
	}
	if findings.Failed() {
		return nil, findings, nil
	}
	b, err := pack(t, files)
	return b, findings, err
}

// plain is the topology of a spec and the programs' own files.
func plain(s *spec.Spec) (topology.Topology, []bundle.File, error) {
	t, err := topology.New(s)
	if err != nil {
		return topology.Topology{}, nil, err
	}
	var files []bundle.File
	for _, render := range targets() {
		rendered, err := render(t)
		if err != nil {
			return topology.Topology{}, nil, err
		}
		files = slices.Concat(files, rendered)
	}
	return t, files, nil
}

// pack is the bundle of files.
func pack(t topology.Topology, files []bundle.File) (*bundle.Bundle, error) {
	return bundle.New(lockfile.File{
		APIVersion: lockfile.APIVersion, Kind: lockfile.Kind, Kasgen: cli.Version,
		Topology: t.Name, SpecDigest: t.SpecDigest, StateDir: t.StateDir,
		Names: &t.Names, Carries: &t.Carries, Development: t.Development,
		Certificates: t.Kept,
	}, files)
}
