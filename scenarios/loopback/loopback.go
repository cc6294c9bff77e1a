// Package loopback puts a topology on this machine alone: free ports of
// loopback, files below one directory. It changes a spec before it is
// rendered, for the real nginx and HAProxy do what their files say.
package loopback

import (
	"errors"
	"path/filepath"

	"kasgen/generator/spec"
)

// Move puts everything on free ports of loopback, which p keeps from others, and
// asks for no more descriptors than a user may have.
func (p *Ports) Move(s *spec.Spec) error {
	var fault error
	move := func(address *string) {
		at, err := p.Take()
		if err != nil {
			fault = errors.Join(fault, err)
			return
		}
		*address = at
	}
	for _, list := range [][]string{s.LoadBalancer.Listen, s.GRPCBalancer.Listen, s.HTTP.Listen} {
		for i := range list {
			move(&list[i])
		}
	}
	l := &s.KAS.Listen
	for _, address := range []*string{&s.Edge.Listen, &l.Agent, &l.KubernetesAPI, &l.Observability, &l.API, &l.PrivateAPI, &s.TLS.ACME.Observability} {
		move(address)
	}
	s.LoadBalancer.MaxConnections = 1000
	return fault
}

// Below has everything that is written lie below dir.
func Below(dir string) []spec.Override {
	return []spec.Override{{Field: "stateDir", Text: filepath.Join(dir, "state"), Source: "--front native"}}
}
