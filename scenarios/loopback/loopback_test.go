package loopback

import (
	"net/netip"
	"testing"

	"kasgen/generator/spec"
)

// TestMove: everything that is listened on is on loopback, apart from
// everything else, and where no client's port can be.
func TestMove(t *testing.T) {
	t.Parallel()
	for _, topology := range []string{"A", "B", "D", "packaged"} {
		s, findings := spec.Read("kasgen.yaml", []byte(spec.Example), []spec.Override{{Field: "topology", Text: topology, Source: "--topology"}})
		if s == nil {
			t.Fatal(findings)
		}
		var p Ports
		defer p.Close()
		if err := p.Move(s); err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		l := s.KAS.Listen
		all := append([]string{s.Edge.Listen, l.Agent, l.KubernetesAPI, l.Observability, l.API, l.PrivateAPI}, s.LoadBalancer.Listen...)
		for _, address := range append(append(all, s.GRPCBalancer.Listen...), s.HTTP.Listen...) {
			at, err := netip.ParseAddrPort(address)
			if err != nil || !at.Addr().IsLoopback() || at.Port() < firstPort || at.Port() > lastPort || seen[address] {
				t.Errorf("topology %s listens on %s, twice or not on loopback: %v", topology, address, err)
			}
			seen[address] = true
		}
	}
}
