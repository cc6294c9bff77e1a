package topology

import (
	"fmt"
	"net/http"
	"slices"

	"kasgen/generator/spec"
	"kasgen/internal/kasconf"
)

// everyNetwork is who may state a client's address where a PROXY header is
// expected of whoever connects.
func everyNetwork() []string { return []string{"0.0.0.0/0", "::/0"} }

// thisMachine is who may where the balancer before it runs here.
func thisMachine() []string { return []string{"127.0.0.0/8", "::1/128"} }

// web is nginx's http{}, made if it is not there yet.
func (t *Topology) web(s *spec.Spec) (*Web, error) {
	if t.Web != nil {
		return t.Web, nil
	}
	nginx, err := kasconf.ParseVersion(s.Nginx.Version)
	if err != nil {
		return nil, fmt.Errorf("nginx.version: %w", err)
	}
	t.Web = &Web{
		MaxConnections:  s.LoadBalancer.MaxConnections,
		HTTP2Directive:  !nginx.Less(kasconf.Version{Major: 1, Minor: 25, Patch: 1}),
		RejectHandshake: !nginx.Less(kasconf.Version{Major: 1, Minor: 19, Patch: 4}),
	}
	return t.Web, nil
}

// redirect adds port 80.
func redirect(t *Topology, s *spec.Spec) error {
	if len(s.HTTP.Listen) == 0 {
		return nil
	}
	w, err := t.web(s)
	if err != nil {
		return err
	}
	w.Redirect = &Redirect{Listen: listening(s.HTTP.Listen), Hosts: hosts(s), Challenge: s.StateDir + "/acme"}
	return nil
}

// vhosts begins a topology whose names are vhosts: port 80, the upstreams, and
// a TCP balancer where old listeners stay or the port is shared with GitLab.
func vhosts(t *Topology, s *spec.Spec) error {
	if err := redirect(t, s); err != nil {
		return err
	}
	w, err := t.web(s)
	if err != nil {
		return err
	}
	w.Upstreams = []Backend{
		upstream(s, agentUpstream, "kas, agents", agentServers(s, s.LoadBalancer.Nodes)),
		upstream(s, kubernetesUpstream, "kas, the Kubernetes API", kubernetesServers(s, s.LoadBalancer.Nodes)),
	}
	lb := s.LoadBalancer
	switch {
	case lb.ShareWithGitLab.Enabled:
		backend := Backend{Name: vhostsBackend, Why: "nginx's vhosts, in another process", Balance: RoundRobin, ProxyHeader: ProxyHeader(lb.ProxyProtocol),
			Servers: []Server{{Name: vhostsBackend, Address: dialable(lb.ShareWithGitLab.Vhosts)}}}
		if t.Front, err = front(s, Nginx, backend); err != nil {
			return err
		}
		if s.GRPCBalancer.Address == spec.AddressShared {
			kas := &t.Front.Frontends[0]
			kas.Names = append(kas.Names, Name{Host: s.Names.GRPC, Backend: vhostsBackend})
		}
	case len(s.Migration.Keep) > 0:
		if t.Front, err = newFront(s, Nginx); err != nil {
			return err
		}
		t.Front.keep(s)
	}
	return nil
}

func upstream(s *spec.Spec, name, why string, servers []Server) Backend {
	return Backend{Name: name, Why: why, Balance: Balance(s.LoadBalancer.Balance), ProxyHeader: NoHeader, Servers: servers, Check: checkOf(s)}
}

// kasSite is the vhost of names.kas, without routes.
func kasSite(s *spec.Spec) Site {
	lb := s.LoadBalancer
	site := Site{Why: "agents and the Kubernetes API", Host: s.Names.KAS, Listen: listening(lb.Listen), HTTP2: true, RefuseNames: true,
		AcceptProxy: lb.AcceptProxyProtocol != spec.ProxyNone, Trusted: slices.Clone(lb.RealIPFrom)}
	if lb.TLS != spec.Terminate || !lb.Kind.ExternalHTTP() {
		site.TLS = tlsOf(s)
	}
	switch {
	case lb.ShareWithGitLab.Enabled:
		site.Listen, site.AcceptProxy = listening([]string{lb.ShareWithGitLab.Vhosts}), lb.ProxyProtocol != spec.ProxyNone
		site.Trusted = nil
		if site.AcceptProxy {
			site.Trusted = thisMachine()
		}
	case lb.Kind.ExternalHTTP():
		site.RefuseNames = false
		site.HTTP2 = site.TLS != nil || lb.Kind == spec.ExternalHTTP2
	case site.AcceptProxy && len(site.Trusted) == 0:
		site.Trusted = everyNetwork()
	}
	return site
}

// grpcRoute lets agents' gRPC methods through.
func grpcRoute() Route {
	return Route{Path: agentService, Why: "agents by gRPC", Upstream: agentUpstream, GRPC: true}
}

// websocketRoute is every path that nothing else takes: agents connect on any.
func websocketRoute(s *spec.Spec, grpc string) Route {
	if s.Agents.Websocket == spec.WebsocketKeep {
		return Route{Path: "/", Why: "agents over WebSocket, on any other path" + until(s), Upstream: agentUpstream}
	}
	return Route{Path: "/", Why: "agents over WebSocket are removed", Status: http.StatusGone,
		Text: "kas: agents over WebSocket are not served here any more; set the agent's kas-address to grpcs://" + grpc}
}

// refusal is what exec, attach and port-forward are told that are no WebSocket.
func refusal(s *spec.Spec) *Refusal {
	const kubectl = "Use kubectl 1.31 or later, with KUBECTL_REMOTE_COMMAND_WEBSOCKETS and KUBECTL_PORT_FORWARD_WEBSOCKETS unset or true. " +
		"If it is, the cluster is too old: exec, attach and cp need an API server of 1.30 or later and port-forward one of 1.31, and with an older one kubectl falls back to SPDY."
	return &Refusal{
		Prefix: s.KAS.PathPrefix,
		Other:  "kas: exec, attach, cp and port-forward pass here over WebSocket only, and this request asks for another protocol. " + kubectl,
		None: "kas: exec, attach, cp and port-forward need an upgrade to WebSocket, and this request arrived without an Upgrade header: a load balancer on the way removes SPDY, or every upgrade. " + kubectl +
			" If kubectl uses WebSocket, make the load balancer pass the headers Upgrade and Connection, and speak HTTP/1.1 to nginx.",
	}
}
