package topology

import (
	"fmt"

	"kasgen/generator/spec"
	"kasgen/internal/lockfile"
)

// D is two domains behind ordinary HTTP balancers: nginx's vhosts, or somebody
// else's in front of them. Of upgrades only WebSocket passes; kubectl over SPDY
// is told what to do.
func D(s *spec.Spec) (Topology, error) {
	t, err := base(s)
	if err != nil {
		return Topology{}, fmt.Errorf("topology D: %w", err)
	}
	if err := vhosts(&t, s); err != nil {
		return Topology{}, fmt.Errorf("topology D: %w", err)
	}
	site := kasSite(s)
	for _, exact := range []bool{true, false} {
		route := Route{Path: s.KAS.PathPrefix, Exact: exact, Upstream: kubernetesUpstream, Strip: s.KAS.StripPrefix, Refuse: !exact}
		if !exact {
			route.Path += "/"
			route.Why = "kubectl, Helm and CI jobs; exec, attach, cp and port-forward upgrade to WebSocket"
		}
		site.Routes = append(site.Routes, route)
	}
	site.Routes = append(site.Routes, websocketRoute(s, s.Names.GRPC))
	t.Web.Sites = []Site{site}
	t.Web.Refusal = refusal(s)
	if err := grpcBalancer(&t, s); err != nil {
		return Topology{}, fmt.Errorf("topology D: %w", err)
	}
	t.Web.prune()
	grpc := grpcName(s)
	if s.GRPCBalancer.Address == spec.AddressShared {
		grpc = webName(s)
		grpc.Name, grpc.Front, grpc.PathPrefix = s.Names.GRPC, nil, ""
	}
	t.Names = lockfile.Names{KAS: webName(s), GRPC: &grpc}
	t.Carries = everything(s)
	t.Carries.Kubectl.SPDY = lockfile.Refused
	return t, nil
}
