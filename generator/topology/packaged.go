package topology

import (
	"fmt"

	"kasgen/generator/spec"
	"kasgen/internal/lockfile"
)

// agentService begins the path of every gRPC method of kas that agents call.
const agentService = "/gitlab.agent."

// Packaged is the vhost that Omnibus gives kas on a domain of its own, with its
// defects repaired: bodies of any size, streams that may be silent, the prefix
// without a slash answered. Behind an HTTP balancer it is option C.
func Packaged(s *spec.Spec) (Topology, error) {
	t, err := base(s)
	if err != nil {
		return Topology{}, fmt.Errorf("topology packaged: %w", err)
	}
	if err := vhosts(&t, s); err != nil {
		return Topology{}, fmt.Errorf("topology packaged: %w", err)
	}
	behind := s.LoadBalancer.Kind.ExternalHTTP()
	site := kasSite(s)
	if s.LoadBalancer.Kind != spec.ExternalHTTP {
		route := grpcRoute()
		route.Why += "; Omnibus has this from 18.7 on, with nginx's own limits"
		site.Routes = append(site.Routes, route)
	}
	for _, exact := range []bool{true, false} {
		route := Route{Path: s.KAS.PathPrefix, Exact: exact, Upstream: kubernetesUpstream, Strip: true, Refuse: behind && !exact}
		if !exact {
			route.Path += "/"
			route.Why = "kubectl, Helm and CI jobs; kas gets the path without the prefix"
		}
		site.Routes = append(site.Routes, route)
	}
	site.Routes = append(site.Routes, websocketRoute(s, s.Names.KAS))
	t.Web.Sites = []Site{site}
	t.KAS.PathPrefix, t.KAS.PrefixNote = "/", "nginx takes "+s.KAS.PathPrefix+" off the path."
	t.Names = lockfile.Names{KAS: webName(s)}
	t.Carries = everything(s)
	switch s.LoadBalancer.Kind {
	case spec.ExternalHTTP:
		t.Carries.Agents.GRPCS = lockfile.No
		t.Carries.Kubectl.SPDY = lockfile.Refused
	case spec.ExternalHTTP2:
		t.Carries.Agents.WSS = lockfile.No
		// They arrive without their Upgrade header, and are told so.
		t.Carries.Kubectl = lockfile.Kubectl{SPDY: lockfile.Refused, WebSocket: lockfile.Refused}
	default: // nginx passes everything
	}
	if behind {
		t.Web.Refusal = refusal(s)
	}
	return t, nil
}
