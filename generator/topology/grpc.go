package topology

import (
	"kasgen/generator/spec"
)

// grpcBalancer adds the balancer of names.grpc: a vhost of nginx, sections of
// HAProxy, or nothing where it is somebody else's.
func grpcBalancer(t *Topology, s *spec.Spec) error {
	g := s.GRPCBalancer
	switch g.Kind {
	case spec.NginxHTTP:
		w, err := t.web(s)
		if err != nil {
			return err
		}
		if len(w.Upstreams) == 0 {
			w.Upstreams = []Backend{upstream(s, agentUpstream, "kas, agents", agentServers(s, g.Nodes))}
		}
		w.Sites = append(w.Sites, grpcSite(t, s))
	case spec.HAProxy:
		accept, tls := grpcListener(s)
		if tls != nil {
			tls.Clients = clientsOf(s)
		}
		t.HTTP2 = &HTTP2{Program: HAProxy, MaxConnections: s.LoadBalancer.MaxConnections, Host: s.Names.GRPC, Listen: listening(g.Listen),
			AcceptProxy: accept, TLS: tls, Path: agentService,
			Backend: Backend{Name: "kas-grpc", Why: "kas, agents", Balance: Balance(s.LoadBalancer.Balance), ProxyHeader: NoHeader, Servers: agentServers(s, g.Nodes)}}
		if len(t.HTTP2.Backend.Servers) > 1 {
			// With nothing to change to, a check could only turn a slow answer
			// into a refusal.
			t.HTTP2.Backend.Check = checkOf(s)
		}
	default: // somebody else's
	}
	return nil
}

// grpcListener is what the balancer's own listener expects.
func grpcListener(s *spec.Spec) (acceptProxy bool, tls *TLS) {
	g := s.GRPCBalancer
	acceptProxy = g.AcceptProxyProtocol != spec.ProxyNone
	if g.Address == spec.AddressShared {
		acceptProxy = s.LoadBalancer.ProxyProtocol != spec.ProxyNone
	}
	if g.TLS == spec.GRPCTerminate {
		tls = tlsOf(s, http2)
	}
	return acceptProxy, tls
}

// grpcSite is the vhost of names.grpc: of the same listener as names.kas where
// that is nginx too and the address is shared.
func grpcSite(t *Topology, s *spec.Spec) Site {
	g := s.GRPCBalancer
	site := Site{Listen: listening(g.Listen), HTTP2: true, RefuseNames: true}
	site.AcceptProxy, site.TLS = grpcListener(s)
	if len(t.Web.Sites) > 0 && g.Address == spec.AddressShared {
		site = t.Web.Sites[0]
	} else if site.AcceptProxy {
		site.Trusted = everyNetwork()
		if g.Address == spec.AddressShared {
			site.Trusted = thisMachine()
		}
	}
	site.Why, site.Host = "agents by gRPC", s.Names.GRPC
	site.Routes = []Route{grpcRoute(), {Path: "/", Why: "nothing else is served under this name", Status: 404,
		Text: "kas: this name takes gRPC of agents only; agents over WebSocket and kubectl use " + s.Names.KAS}}
	return site
}
