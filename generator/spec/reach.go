package spec

import (
	"fmt"
	"slices"
)

// hop is a place to which a balancer connects on each node.
type hop struct{ field, listen string }

// reach looks at what other machines must reach.
func (c *checker) reach() {
	lb, g, k, sh := c.spec.LoadBalancer, c.spec.GRPCBalancer, c.spec.KAS, c.spec.Topology.shape()
	front, second := remote(lb.Nodes), remote(g.Nodes) && len(sh.grpc) > 0
	var hops []hop
	if front && !sh.vhosts {
		hops = append(hops, hop{field: "edge.listen", listen: c.spec.Edge.Listen})
	}
	if front && sh.vhosts {
		hops = append(hops, hop{field: "kas.listen.agent", listen: k.Listen.Agent}, hop{field: "kas.listen.kubernetesAPI", listen: k.Listen.KubernetesAPI})
	} else if second {
		hops = append(hops, hop{field: "kas.listen.agent", listen: k.Listen.Agent})
	}
	if front && len(lb.Nodes) > 1 || second && len(g.Nodes) > 1 {
		hops = append(hops, hop{field: "kas.listen.privateAPI", listen: k.Listen.PrivateAPI})
	}
	for _, h := range hops {
		if e, err := parseEndpoint(h.listen); err == nil && e.loopback() {
			c.add(CodeLoopback, c.written(h.field, "loadBalancer.nodes", "grpcBalancer.nodes"), h.field+" is "+h.listen+" although there are nodes on other machines",
				"other machines connect to it", "write an address that they reach")
		}
	}
	const network = "use a network that nobody else reads"
	switch {
	case front && sh.vhosts:
		c.warn(CodeCleartext, "loadBalancer.nodes", "tokens cross the network in clear between nginx and its nodes", "TLS ends at nginx, and nodes are on other machines", network)
	case front && lb.TLS == Terminate:
		c.warn(CodeCleartext, "loadBalancer.tls", "tokens cross the network in clear between the balancer and its nodes",
			"TLS ends at the balancer, and nodes are on other machines", "use loadBalancer.tls: passthrough, or a network that nobody else reads")
	case second:
		c.warn(CodeCleartext, c.written("grpcBalancer.nodes", "loadBalancer.nodes"), "agents' tokens cross the network in clear between the gRPC balancer and its nodes",
			"TLS ends at the balancer, and nodes are on other machines", network)
	}
}

func remote(nodes []string) bool {
	return slices.ContainsFunc(nodes, func(node string) bool {
		e, err := parseEndpoint(node)
		return err == nil && !e.loopback()
	})
}

// arrive reports agents that would have no way, and settings without effect.
func (c *checker) arrive() {
	s, lb, sh := c.spec, c.spec.LoadBalancer, c.spec.Topology.shape()
	one := len(sh.grpc) == 0
	if s.Agents.Websocket == WebsocketRemove && one {
		nobody := ""
		switch {
		case sh.vhosts && lb.Kind == ExternalHTTP:
			nobody = "an HTTP/1.1 balancer passes no gRPC"
		case lb.EndsTLS() && lb.ALPN == ALPNNone:
			nobody = "agents refuse gRPC without ALPN"
		}
		if nobody != "" {
			c.add(CodeNobody, c.written("agents.websocket", "loadBalancer.kind"), "no agent could connect",
				"agents over WebSocket are removed, and "+nobody, "keep WebSocket, or give gRPC a way: a name and a balancer of its own in topology B or D")
		}
	}
	if s.Agents.Websocket == WebsocketKeep && one && sh.vhosts && lb.Kind == ExternalHTTP2 {
		c.warn(CodeNoWebsocket, c.written("agents.websocket", "loadBalancer.kind"), "agents over WebSocket cannot arrive",
			"a balancer that speaks HTTP/2 to its backend passes no upgrade; kubectl exec, attach, cp and port-forward cannot arrive either",
			"write agents.websocket: remove once every agent uses gRPC, or suppress this")
	}
	c.unused()
}

// unused reports what nothing comes of.
func (c *checker) unused() {
	share := "loadBalancer.shareWithGitLab.vhosts"
	if !c.spec.Topology.shape().vhosts {
		if c.has(share) {
			c.warn(CodeUnused, share, fmt.Sprintf("%s has no effect in topology %s", share, c.spec.Topology), "the edge is behind the balancer there, not nginx's vhosts", "remove it")
		}
		return
	}
	fields := []string{"edge.listen"}
	if !c.spec.LoadBalancer.ShareWithGitLab.Enabled {
		fields = append(fields, "loadBalancer.proxyProtocol")
	}
	for _, field := range fields {
		if c.has(field) {
			c.warn(CodeUnused, field, fmt.Sprintf("%s has no effect in topology %s", field, c.spec.Topology), "nginx takes the connections itself there, and no edge stands behind it", "remove it")
		}
	}
}
