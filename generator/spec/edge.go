package spec

import (
	"fmt"
	"time"
)

// Bounds of tls.sessionTickets.rotate: clocks of nodes differ by minutes, and no
// ticket may be used for more than 7 days (RFC 8446, section 4.6.1), which is
// two periods.
const (
	shortestRotate = 10 * time.Minute
	longestRotate  = 84 * time.Hour
)

// edgeTLS checks the single values of what the edge alone can do with TLS.
func (c *checker) edgeTLS() {
	if t := c.spec.TLS.SessionTickets; t != nil {
		at := "tls.sessionTickets."
		c.path(at+"keyFile", t.KeyFile)
		if d := time.Duration(t.Rotate); c.rules == nil && (d < shortestRotate || d > longestRotate) {
			c.add(CodeRotate, at+"rotate", fmt.Sprintf("%srotate is %v", at, d),
				"clocks of nodes differ by minutes, and no ticket may be used for more than 7 days (RFC 8446, section 4.6.1), which is two periods", "write 10m to 84h, such as 12h")
		}
	}
	if ca := c.spec.TLS.ClientCA; ca != nil {
		c.path("tls.clientCA.file", ca.File)
	}
}

// edgeEnds reports what needs an edge that ends TLS where none does. Whoever asks
// clients for certificates means every way to kas.
func (c *checker) edgeEnds() {
	t := c.spec.TLS
	for field, there := range map[string]bool{"tls.sessionTickets": t.SessionTickets != nil, "tls.clientCA": t.ClientCA != nil} {
		if !there {
			continue
		}
		if c.spec.edgeEndsTLS() {
			if field == "tls.clientCA" && c.spec.grpcEndsTLS() && c.spec.GRPCBalancer.Kind != HAProxy {
				c.add(CodeEdgeTLS, field, field+" is set, and nginx ends TLS of "+c.spec.Names.GRPC, "no nginx that is rendered asks for certificates: agents would come to kas without one",
					"write grpcBalancer.kind: haproxy, which asks too, or remove it")
			}
			continue
		}
		who := "the load balancer ends it"
		if c.spec.Topology.shape().vhosts {
			who = "nginx ends it"
		}
		c.add(CodeEdgeTLS, field, field+" is set, and the edge ends no TLS", who+", and nothing of the kind is rendered for that",
			"remove it, or pass TLS through: topology A with loadBalancer.tls: passthrough")
	}
}

// ownTickets warns where clients of one name resume sessions with any node, and
// those of the other do not.
func (c *checker) ownTickets() {
	if c.spec.TLS.SessionTickets == nil || !c.spec.edgeEndsTLS() || !c.spec.grpcEndsTLS() {
		return
	}
	c.warn(CodeOwnTickets, "tls.sessionTickets", fmt.Sprintf("tls.sessionTickets is set, and %s ends TLS of %s", c.spec.GRPCBalancer.Kind, c.spec.Names.GRPC),
		"only the edge makes its keys of that file: a gRPC agent that comes to another node, or after a restart, does a full handshake",
		"suppress this where that is good enough, as it is for agents that stay connected; or have topology A, where the edge ends TLS of both")
}

// edgeEndsTLS says whether there is an edge that clients speak TLS with, or the
// balancer that has ended theirs.
func (s *Spec) edgeEndsTLS() bool {
	return !s.Topology.shape().vhosts && s.LoadBalancer.TLS != Terminate
}
