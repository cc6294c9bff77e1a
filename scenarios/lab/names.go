package lab

import (
	"errors"
	"net"
	"slices"

	"kasgen/scenarios/lab/httpbalancer"
)

// traffic is what a name takes.
type traffic string

// The kinds; the first two are the lab's agents by name.
const (
	wss           traffic = "wss"
	grpcs         traffic = "grpcs"
	kubernetesAPI traffic = "kubernetes-api"
)

// name is a host name of kas and what a client of it meets first.
type name struct {
	host, port string
	listener   string // of the bundle, by the address in its file
	tls        bool   // that the listener ends TLS, or hands it on
	balancer   httpbalancer.Kind
	takes      []traffic
}

type names []name

func (n name) hostport() string { return net.JoinHostPort(n.host, n.port) }

func (n name) serves(t traffic) bool { return slices.Contains(n.takes, t) }

// of is the name that takes the traffic; the zero name if none does.
func (ns names) of(t traffic) name {
	for _, n := range ns {
		if n.serves(t) {
			return n
		}
	}
	return name{}
}

// hosts are the names for certificates.
func (ns names) hosts() []string {
	var hosts []string
	for _, n := range ns {
		hosts = append(hosts, n.host)
	}
	return hosts
}

// findNames is what the bundle says of its names.
func (l *Lab) findNames() error {
	entrance, ok := l.bundle.Entrance()
	if !ok {
		return errors.New("the bundle has neither a load balancer nor an edge: nobody can connect")
	}
	_, port, err := net.SplitHostPort(entrance)
	if err != nil {
		return err
	}
	n := name{host: "127.0.0.1", port: port, listener: entrance, tls: true, takes: []traffic{wss, grpcs, kubernetesAPI}}
	if l.bundle.Edge() != nil {
		if served := l.bundle.Edge().ServerNames(); len(served) > 0 {
			n.host = served[0]
		}
	}
	l.names = names{n}
	return nil
}
