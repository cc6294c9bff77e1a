package lab

import (
	"fmt"
	"net"
	"slices"

	"kasgen/internal/lockfile"
	kasgenruntime "kasgen/runtime"
)

// traffic is what a name takes.
type traffic string

// The kinds; the first two are those of agents.
const (
	wss           traffic = traffic(WSS)
	grpcs         traffic = traffic(GRPCS)
	kubernetesAPI traffic = "kubernetes-api"
)

// name is a host name of kas and what a client of it meets first.
type name struct {
	lockfile.Host
	port  string // that clients use
	takes []traffic
}

type names []name

func (n name) hostport() string { return net.JoinHostPort(n.Name, n.port) }

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
		hosts = append(hosts, n.Name)
	}
	return hosts
}

// findNames is what the bundle says of its names. Where a file has been changed
// by hand so that nobody listens where the manifest says, it is the front that
// clients mean.
func findNames(b *kasgenruntime.Bundle) (names, error) {
	lock := b.Lock
	if lock.Names == nil || lock.Carries == nil {
		return nil, fmt.Errorf("%s says neither names nor what they carry: write the bundle again with this kasgen", lockfile.Name)
	}
	kas := name{Host: lock.Names.KAS, takes: []traffic{wss, kubernetesAPI}}
	all := names{kas}
	if lock.Names.GRPC == nil {
		all[0].takes = append(all[0].takes, grpcs)
	} else {
		all = append(all, name{Host: *lock.Names.GRPC, takes: []traffic{grpcs}})
	}
	for i, n := range all {
		// Behind a balancer of others the listener's port is between the two.
		all[i].port = "443"
		if n.Front == nil {
			if at, ok := b.Entrance(); ok && !slices.Contains(b.Binds(), n.Listeners[0]) {
				n.Listeners = []string{at}
				all[i].Listeners = n.Listeners
			}
			_, port, err := net.SplitHostPort(n.Listeners[0])
			if err != nil {
				return nil, err
			}
			all[i].port = port
		}
	}
	return all, nil
}

// Carries is what the topology promises.
func (l *Lab) Carries() lockfile.Carries { return *l.bundle.Lock.Carries }
