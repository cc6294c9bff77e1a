// Package loopback puts a topology on this machine alone: free ports of
// loopback, files below one directory. It changes a spec before it is
// rendered, for the real nginx and HAProxy do what their files say.
package loopback

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"

	"kasgen/generator/spec"
)

// Move puts everything on free ports of loopback, and asks for no more
// descriptors than a user may have.
func Move(s *spec.Spec) error {
	var fault error
	var held []net.Listener // until all are chosen, so that no two are the same
	defer func() {
		for _, ln := range held {
			ln.Close()
		}
	}()
	move := func(address *string) {
		ln, err := listen()
		if err != nil {
			fault = errors.Join(fault, err)
			return
		}
		*address, held = ln.Addr().String(), append(held, ln)
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

// Ports below those that Linux gives to whoever asks for any: between the
// choice and the use of a port no client and no other listener gets it.
const firstPort, lastPort = 16384, 32767

// tries is enough where all but one port in ten are taken.
const tries = 200

// listen takes a free port. Once it is given back, somebody may take it before
// it is used; then what is started on it says so.
func listen() (net.Listener, error) {
	var last error
	for range tries {
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort+1))))
		if err == nil {
			return ln, nil
		}
		last = err
	}
	return nil, fmt.Errorf("finding a free port: %w", last)
}
