package topology

import (
	"fmt"

	"kasgen/generator/spec"
	"kasgen/internal/lockfile"
)

// B is two domains: names.kas as in A but for HTTP/1.1 only, and names.grpc at
// a balancer that speaks HTTP/2 to kas. Where both share an address, the TCP
// balancer hands over by the name in SNI.
func B(s *spec.Spec) (Topology, error) {
	t, err := base(s)
	if err != nil {
		return Topology{}, fmt.Errorf("topology B: %w", err)
	}
	t.Edge = edge(s, http1)
	if !t.KAS.Websocket {
		t.Edge.Upstreams = t.Edge.Upstreams[1:] // nothing of the agents passes the edge
	}
	shared := s.GRPCBalancer.Address == spec.AddressShared
	if !s.LoadBalancer.Kind.External() {
		var others []Backend
		if shared {
			others = append(others, Backend{Name: grpcBackend, Why: "the balancer that speaks HTTP/2", Balance: RoundRobin,
				ProxyHeader: ProxyHeader(s.LoadBalancer.ProxyProtocol),
				Servers:     []Server{{Name: grpcBackend, Address: dialable(s.GRPCBalancer.Listen[0])}}})
		}
		if t.Front, err = front(s, program(s.LoadBalancer.Kind), edgeServers(s), others...); err != nil {
			return Topology{}, fmt.Errorf("topology B: %w", err)
		}
	}
	if err := redirect(&t, s); err != nil {
		return Topology{}, fmt.Errorf("topology B: %w", err)
	}
	if err := grpcBalancer(&t, s); err != nil {
		return Topology{}, fmt.Errorf("topology B: %w", err)
	}
	grpc := grpcName(s)
	if shared {
		grpc = tcpName(s, http1)
		grpc.Name, grpc.PathPrefix = s.Names.GRPC, ""
	}
	t.Names = lockfile.Names{KAS: tcpName(s, http1), GRPC: &grpc}
	t.Carries = everything(s)
	return t, nil
}
