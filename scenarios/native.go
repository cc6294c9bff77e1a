package scenarios

import (
	"errors"
	"net"
	"path/filepath"

	"kasgen/generator/spec"
	"kasgen/internal/cli"
	"kasgen/runtime"
)

// checkFront says what the flag --front may be.
func (o demoOptions) checkFront() error {
	if p := runtime.Programs(o.front); p != runtime.Embedded && p != runtime.Native {
		return cli.Usage("--front %s: it is embedded or native", o.front)
	}
	return nil
}

// localize puts everything on free ports of loopback, and asks for no more
// descriptors than a user may have: the real nginx and HAProxy do what their
// files say.
func localize(s *spec.Spec) error {
	var fault error
	move := func(address *string) {
		free, err := freeAddress()
		*address, fault = free, errors.Join(fault, err)
	}
	for _, list := range [][]string{s.LoadBalancer.Listen, s.GRPCBalancer.Listen, s.HTTP.Listen} {
		for i := range list {
			move(&list[i])
		}
	}
	l := &s.KAS.Listen
	for _, address := range []*string{&s.Edge.Listen, &l.Agent, &l.KubernetesAPI, &l.Observability, &l.API, &l.PrivateAPI} {
		move(address)
	}
	s.LoadBalancer.MaxConnections = 1000
	return fault
}

// freeAddress is one on loopback that nobody listens on. Somebody may take it
// before it is used; then what is started on it says so.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// below has everything that is written lie below dir.
func below(dir string) []spec.Override {
	return []spec.Override{{Field: "stateDir", Text: filepath.Join(dir, "state"), Source: "--front native"}}
}
