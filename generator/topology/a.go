package topology

import (
	"fmt"
	"time"

	"kasgen/generator/spec"
	"kasgen/internal/lockfile"
)

// alpn is what whoever ends TLS negotiates, in this order: kubectl offers both
// and must get HTTP/1.1, in which it can upgrade; grpc-go offers h2 alone.
func alpn() []string { return []string{http1, http2} }

// The protocols of ALPN.
const (
	http1 = "http/1.1"
	http2 = "h2"
)

// A is one domain: a TCP balancer, TLS ended at the edge or before it, and an
// edge that tells gRPC, agents' WebSockets and the Kubernetes API apart by
// their first bytes.
func A(s *spec.Spec) (Topology, error) {
	t, err := base(s)
	if err != nil {
		return Topology{}, fmt.Errorf("topology A: %w", err)
	}
	t.Edge = edge(s, alpn()...)
	t.Edge.GRPC = agentUpstream
	if !s.LoadBalancer.Kind.External() {
		if t.Front, err = front(s, program(s.LoadBalancer.Kind), edgeServers(s)); err != nil {
			return Topology{}, fmt.Errorf("topology A: %w", err)
		}
	}
	if err := redirect(&t, s); err != nil {
		return Topology{}, fmt.Errorf("topology A: %w", err)
	}
	t.Names = lockfile.Names{KAS: tcpName(s, alpn()...)}
	t.Carries = everything(s)
	if lb := s.LoadBalancer; lb.EndsTLS() && lb.ALPN == spec.ALPNNone {
		t.Carries.Agents.GRPCS = lockfile.No // grpc-go from 1.67 refuses a connection without h2
	}
	return t, nil
}

// edge is the listener behind the TCP balancer, without a route for gRPC.
func edge(s *spec.Spec, alpn ...string) *Edge {
	e := &Edge{
		Listen:      s.Edge.Listen,
		ProxyHeader: ProxyHeader(s.LoadBalancer.ProxyProtocol),
		ServerNames: []string{s.Names.KAS},
		Paths: []Path{{
			Prefix: s.KAS.PathPrefix, Why: "kubectl, Helm and CI jobs; exec, attach, cp and port-forward upgrade",
			Upstream: kubernetesUpstream, Upgrades: []string{"websocket", "SPDY/3.1"}, Strip: s.KAS.StripPrefix,
		}},
		Upstreams: []Upstream{
			{Name: agentUpstream, Address: dialable(s.KAS.Listen.Agent)},
			{Name: kubernetesUpstream, Address: dialable(s.KAS.Listen.KubernetesAPI)},
		},
	}
	if s.LoadBalancer.TLS != spec.Terminate {
		e.TLS = tlsOf(s, alpn...)
		if t := s.TLS.SessionTickets; t != nil {
			e.TLS.Tickets = &Tickets{KeyFile: t.KeyFile, Rotate: time.Duration(t.Rotate)}
		}
		e.TLS.Clients = clientsOf(s)
	}
	if s.Agents.Websocket == spec.WebsocketKeep {
		e.Paths = append(e.Paths, Path{Prefix: "/", Why: "agents over WebSocket, on any other path" + until(s), Upstream: agentUpstream, Upgrades: []string{"websocket"}, UpgradeOnly: true})
	}
	return e
}

// clientsOf is who signs clients' certificates.
func clientsOf(s *spec.Spec) *Clients {
	if ca := s.TLS.ClientCA; ca != nil {
		return &Clients{CAFile: ca.File, Required: !ca.Optional}
	}
	return nil
}

// until says when people mean to remove WebSocket.
func until(s *spec.Spec) string {
	if s.Agents.RemoveAfter == "" {
		return ""
	}
	return "; to be removed after " + string(s.Agents.RemoveAfter) + ", when nobody uses it any more"
}

// edgeServers is the backend of the edges of every node.
func edgeServers(s *spec.Spec) Backend {
	lb := s.LoadBalancer
	nodes := lb.Nodes
	if len(nodes) == 0 {
		nodes = []string{dialable(s.Edge.Listen)}
	}
	return Backend{Name: edgeBackend, Why: "the listener that looks at the first bytes", Balance: Balance(lb.Balance),
		ProxyHeader: ProxyHeader(lb.ProxyProtocol), Check: checkOf(s), Servers: servers(edgeBackend, nodes)}
}
