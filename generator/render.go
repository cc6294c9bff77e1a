// Package generator owns the way from kasgen.yaml to a bundle, and the
// commands that go it. It does not listen or dial, and it knows nothing of
// what runs the files. Its law: the same spec gives the same bytes.
package generator

import (
	"kasgen/generator/bundle"
	"kasgen/generator/spec"
	"kasgen/generator/target/certs"
	"kasgen/generator/target/edge"
	"kasgen/generator/target/haproxy"
	"kasgen/generator/target/kas"
	"kasgen/generator/target/nginx"
	"kasgen/generator/topology"
)

// target writes the files that it owns, or none where the topology has no use
// for it.
type target func(topology.Topology) ([]bundle.File, error)

// targets lists every target.
func targets() []target {
	return []target{haproxy.Render, nginx.Render, edge.Render, kas.Render, certs.Render}
}

// Render is the bundle of a spec without faults, for the programs themselves.
func Render(s *spec.Spec) (*bundle.Bundle, error) {
	t, files, err := plain(s)
	if err != nil {
		return nil, err
	}
	return pack(t, files)
}
