package chart

import (
	"github.com/spf13/pflag"

	"kasgen/chart/engine"
	"kasgen/chart/given"
	"kasgen/chart/inventory"
	"kasgen/chart/values"
	"kasgen/generator"
	"kasgen/generator/bundle"
	"kasgen/generator/spec"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
)

// Name is how the target is asked for.
const Name = "chart"

// ValuesPath is the file that helm is given with -f.
const ValuesPath = "values.kas.yaml"

// example stands in for a missing kasgen.yaml.
const example = `apiVersion: kasgen/v1
topology: A
gitlab:
  url: https://gitlab.example.com
names:
  kas: kas.gitlab.example.com
`

// Target is GitLab's Helm chart as `kasgen render` knows it.
func Target() generator.Target {
	return generator.Target{Name: Name, Example: example, Defaults: defaults, Renderer: func(flags *pflag.FlagSet) generator.Renderer {
		version := flags.String("chart-version", "", "version of GitLab's chart, as in 9.9")
		file := flags.String("chart", "", "GitLab's chart, which says by itself what its version and its keys are: a directory, or a file as helm pull writes it")
		var o options
		o.addShared(flags)
		return func(f generator.Facts) ([]bundle.File, diag.Findings, error) {
			keys, err := keysOf(*version, *file)
			if err != nil {
				return nil, nil, err
			}
			if _, err := o.completed(keys.Version, "", ""); err != nil {
				return nil, nil, err
			}
			text, findings, err := values.Make(f, keys, o.ofValues())
			if err != nil || findings.Failed() {
				return nil, findings, err
			}
			return []bundle.File{{Path: ValuesPath, Data: text}}, findings, nil
		}
	}}
}

// keysOf are the keys of a known version, or of a chart itself.
func keysOf(version, file string) (inventory.Keys, error) {
	if file == "" {
		if version == "" {
			return inventory.Keys{}, cli.Usage("name the version of GitLab's chart with --chart-version, or the chart with --chart")
		}
		v, err := inventory.ParseVersion(version)
		if err != nil {
			return inventory.Keys{}, cli.Usage("--chart-version: %v", err)
		}
		keys, err := inventory.Of(v)
		if err != nil {
			return inventory.Keys{}, cli.Usage("--chart-version: %v", err)
		}
		return keys, nil
	}
	if version != "" {
		return inventory.Keys{}, cli.Usage("--chart says what its version is: leave --chart-version out")
	}
	c, err := engine.Load(file)
	if err != nil {
		return inventory.Keys{}, err
	}
	return keysIn(c)
}

// keysIn are the keys of a chart.
func keysIn(c *engine.Chart) (inventory.Keys, error) {
	v, err := inventory.ParseVersion(c.Version())
	if err != nil {
		return inventory.Keys{}, cli.Usage("--chart: %v", err)
	}
	return inventory.From(v, given.Of(c).Has)
}

// defaults is what a kasgen.yaml leaves out where the chart runs kas.
func defaults(s *spec.Spec, written func(field string) bool) {
	if !written("kas.kind") {
		s.KAS.Kind = spec.KASExternal
	}
	// The balancer is a Service of type LoadBalancer, and its addresses are those
	// of pods.
	if !written("loadBalancer.kind") && (s.Topology == spec.TopologyA || s.Topology == spec.TopologyB) {
		s.LoadBalancer.Kind = spec.ExternalTCP
		if !written("loadBalancer.proxyProtocol") {
			s.LoadBalancer.ProxyProtocol = spec.ProxyNone
		}
	}
	if !written("tls.acme.observability") {
		s.TLS.ACME.Observability = "0.0.0.0:8156" // where kubelet looks
	}
}
