package topology

import (
	"fmt"

	"kasgen/generator/spec"
	"kasgen/internal/kasconf"
)

// The names of upstreams and backends.
const (
	agentUpstream      = "agent"
	kubernetesUpstream = "kubernetes-api"
	edgeBackend        = "edge"
	grpcBackend        = "grpc-balancer"
	vhostsBackend      = "vhosts"
	gitlabBackend      = "gitlab"
)

// front is the TCP balancer that passes names.kas on to backend, and the other
// names to theirs.
func front(s *spec.Spec, program Program, backend Backend, others ...Backend) (*Front, error) {
	lb := s.LoadBalancer
	f, err := newFront(s, program)
	if err != nil {
		return nil, err
	}
	kas := Frontend{Name: "kas", Why: "everything for " + s.Names.KAS, Listen: listening(lb.Listen),
		AcceptProxy: lb.AcceptProxyProtocol != spec.ProxyNone, Default: backend.Name}
	f.Backends = append([]Backend{backend}, others...)
	if len(others) > 0 {
		kas.Why = fmt.Sprintf("%s, and gRPC by the name %s", s.Names.KAS, s.Names.GRPC)
		kas.Names = []Name{{Host: s.Names.GRPC, Backend: others[0].Name}}
	}
	if lb.TLS == spec.Terminate && !lb.Kind.HTTP() {
		kas.TLS = tlsOf(s, alpn()...)
	}
	if share := lb.ShareWithGitLab; share.Enabled {
		kas.Why = "this port's TLS, told apart by the name in SNI"
		kas.Names = append([]Name{{Host: s.Names.KAS, Backend: backend.Name}}, kas.Names...)
		kas.Default = gitlabBackend
		// GitLab's web server is one process on this machine: with nothing to
		// change to, a check could only turn a slow answer into a refusal.
		f.Backends = append(f.Backends, Backend{Name: gitlabBackend, Why: "GitLab's own web server, which gave up this port", Balance: RoundRobin,
			ProxyHeader: ProxyHeader(share.ProxyProtocol), Servers: []Server{{Name: gitlabBackend, Address: share.Address}}})
	}
	f.Frontends = append([]Frontend{kas}, f.Frontends...)
	f.keep(s)
	return f, nil
}

func newFront(s *spec.Spec, program Program) (*Front, error) {
	nginx, err := kasconf.ParseVersion(s.Nginx.Version)
	if err != nil {
		return nil, fmt.Errorf("nginx.version: %w", err)
	}
	return &Front{Program: program, MaxConnections: s.LoadBalancer.MaxConnections, StreamModule: s.Nginx.StreamModule,
		HalfClose: !nginx.Less(kasconf.Version{Major: 1, Minor: 21, Patch: 4})}, nil
}

// keep adds the old listeners.
func (f *Front) keep(s *spec.Spec) {
	for i, kept := range s.Migration.Keep {
		name := fmt.Sprintf("kept-%d", i+1)
		f.Frontends = append(f.Frontends, Frontend{Name: name, Why: "an old listener, kept while clients move", Listen: listening([]string{kept.Listen}), Default: name})
		f.Backends = append(f.Backends, Backend{Name: name, Why: "where " + kept.Listen + " went before", Balance: RoundRobin,
			ProxyHeader: NoHeader, Servers: []Server{{Name: name, Address: kept.Backend}}})
	}
}

// program of a TCP balancer of ours.
func program(kind spec.BalancerKind) Program {
	if kind == spec.NginxStream {
		return Nginx
	}
	return HAProxy
}
