package topology

import (
	"kasgen/generator/spec"
	"kasgen/internal/lockfile"
)

// everything is what passes where nothing stands in the way.
func everything(s *spec.Spec) lockfile.Carries {
	c := lockfile.Carries{
		Agents:  lockfile.Agents{WSS: lockfile.Yes, GRPCS: lockfile.Yes},
		Kubectl: lockfile.Kubectl{SPDY: lockfile.Yes, WebSocket: lockfile.Yes},
	}
	if s.Agents.Websocket == spec.WebsocketRemove {
		c.Agents.WSS = lockfile.Refused
	}
	return c
}

// tcpName is a name that a TCP balancer takes, before an edge that speaks
// protocols.
func tcpName(s *spec.Spec, protocols ...string) lockfile.Host {
	lb := s.LoadBalancer
	n := lockfile.Host{Name: s.Names.KAS, Listeners: listening(lb.Listen), PathPrefix: s.KAS.PathPrefix}
	if lb.Kind.External() {
		n.Listeners = []string{s.Edge.Listen}
		n.Front = &lockfile.Front{Kind: string(lb.Kind), TLS: string(lb.TLS), ProxyProtocol: string(lb.ProxyProtocol)}
		if lb.EndsTLS() && lb.ALPN == spec.ALPNNegotiated {
			n.Front.ALPN = protocols
		}
	}
	return n
}

// webName is a name that nginx takes.
func webName(s *spec.Spec) lockfile.Host {
	lb := s.LoadBalancer
	n := lockfile.Host{Name: s.Names.KAS, Listeners: listening(lb.Listen), PathPrefix: s.KAS.PathPrefix}
	if lb.Kind.External() {
		n.Front = &lockfile.Front{Kind: string(lb.Kind), TLS: string(lb.TLS), ProxyProtocol: string(spec.ProxyNone)}
	}
	return n
}

// grpcName is names.grpc at an address of its own. Somebody else's balancer
// connects to kas itself, which takes HTTP/2 in cleartext.
func grpcName(s *spec.Spec) lockfile.Host {
	g := s.GRPCBalancer
	n := lockfile.Host{Name: s.Names.GRPC, Listeners: listening(g.Listen)}
	if g.Kind.External() {
		n.Listeners = []string{s.KAS.Listen.Agent}
		n.Front = &lockfile.Front{Kind: string(g.Kind), TLS: string(spec.Terminate), ProxyProtocol: string(spec.ProxyNone)}
	}
	return n
}
