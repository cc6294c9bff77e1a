package chart

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kasgen/chart/engine"
	"kasgen/chart/extras"
	"kasgen/chart/inventory"
	"kasgen/generator"
	"kasgen/generator/bundle"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
)

// extrasCommand is `kasgen chart extras`.
func extrasCommand(streams cli.IO) *cobra.Command {
	var o options
	var version, out, name, namespace string
	cmd := &cobra.Command{
		Use:   "extras",
		Short: "Write what a topology needs beside GitLab's chart, as a chart of its own",
		Long: `Extras writes the chart kasgen-kas-edge: the edge with the Service that the world
reaches, routes and certificates of the names that GitLab's chart has no object
for, for the release that is named. A path that ends in .tgz is a packaged chart,
any other one a directory, which must not be there or be an older one.`,
		Example: `  kasgen chart extras --topology=A --provider aws --chart-version 9.9 --issuer letsencrypt -o kasgen-kas-edge.tgz
  helm install -n gitlab kas-edge kasgen-kas-edge.tgz`,
		Args: cobra.NoArgs,
	}
	from := generator.AddSource(cmd)
	facts := capture(cmd, from)
	f := cmd.Flags()
	f.StringVar(&version, "chart-version", "", "version of GitLab's chart, as in 9.9")
	f.StringVarP(&out, "output", "o", "", "directory, or file that ends in .tgz")
	addNames(cmd, &name, &namespace)
	o.addShared(f)
	o.addExtras(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		if out == "" {
			return cli.Usage("name a directory, or a file that ends in .tgz, with -o")
		}
		v, err := inventory.ParseVersion(version)
		if err != nil {
			return cli.Usage("--chart-version: %v", err)
		}
		e, err := o.completed(v, name, namespace)
		if err != nil {
			return err
		}
		s, findings, err := from.Read(streams.In)
		if err != nil {
			return err
		}
		if s == nil {
			return failed(streams, cli.Text, findings, from.Name())
		}
		if _, _, err := from.Render(s); err != nil {
			return err
		}
		files, more, err := extras.Make(*facts, e)
		if err != nil {
			return err
		}
		if findings = append(findings, more...); findings.Failed() {
			return failed(streams, cli.Text, findings, from.Name())
		}
		if err := findings.WriteText(streams.Err); err != nil {
			return err
		}
		if err := writeExtras(out, files); err != nil {
			return err
		}
		fmt.Fprintf(streams.Err, "%s: %d files; install it beside the release, in its namespace: helm upgrade --install -n %s kas-edge %s\n", out, len(files), namespace, out)
		return nil
	}
	return cmd
}

// capture has the facts of a spec that from reads, and no files.
func capture(cmd *cobra.Command, from *generator.Source) *generator.Facts {
	facts := &generator.Facts{}
	from.For(cmd, generator.Target{Name: Name, Example: example, Defaults: defaults, Renderer: func(*pflag.FlagSet) generator.Renderer {
		return func(f generator.Facts) ([]bundle.File, diag.Findings, error) {
			*facts = f
			return nil, nil, nil
		}
	}})
	return facts
}

// writeExtras writes a packaged chart or a directory.
func writeExtras(out string, files map[string][]byte) error {
	if strings.HasSuffix(out, ".tgz") {
		return engine.Pack(extras.ChartName, out, files)
	}
	if entries, err := os.ReadDir(out); err == nil && len(entries) > 0 {
		old, err := os.ReadFile(filepath.Join(out, "Chart.yaml"))
		if err != nil || !strings.Contains(string(old), "name: "+extras.ChartName+"\n") {
			return fmt.Errorf("%s is there and is no %s: name another directory", out, extras.ChartName)
		}
		// What another topology had does not stay behind.
		for _, name := range []string{"templates", "files"} {
			if err := os.RemoveAll(filepath.Join(out, name)); err != nil {
				return err
			}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(files)) {
		to := filepath.Join(out, filepath.FromSlash(p))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, files[p], 0o644); err != nil {
			return err
		}
	}
	return nil
}
