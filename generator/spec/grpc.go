package spec

import "fmt"

// grpc looks at the second name and at the balancer that takes it.
func (c *checker) grpc() {
	s, sh, g := c.spec, c.spec.Topology.shape(), c.spec.GRPCBalancer
	if len(sh.grpc) == 0 {
		c.noSecondName()
		return
	}
	if s.Names.GRPC == s.Names.KAS && s.Names.KAS != "" {
		c.add(CodeGRPCName, "names.grpc", "names.grpc is names.kas, "+s.Names.KAS,
			"the two are told apart by their names", "give gRPC a name of its own, or use a topology with one name")
	}
	c.grpcAddress()
	c.grpcTLS()
	if g.Kind.External() {
		for _, field := range []string{"listen", "tls", "acceptProxyProtocol", "nodes"} {
			if at := "grpcBalancer." + field; c.has(at) {
				c.add(CodeExternal, at, fmt.Sprintf("grpcBalancer.kind %s cannot be given %s", g.Kind, field),
					"nothing is rendered for a balancer that somebody else runs", "set it there, and remove this")
			}
		}
	}
}

func (c *checker) noSecondName() {
	for _, field := range []string{"names.grpc", "grpcBalancer"} {
		if c.has(field) || field == "names.grpc" && c.spec.Names.GRPC != "" {
			c.add(CodeSecondName, field, fmt.Sprintf("%s is set, and topology %s has one name", field, c.spec.Topology),
				"agents by gRPC use names.kas there", "remove it, or use a topology with two names: B or D")
		}
	}
}

// grpcAddress looks at whose address the balancer has.
func (c *checker) grpcAddress() {
	s, g, vhosts := c.spec, c.spec.GRPCBalancer, c.spec.Topology.shape().vhosts
	at := "grpcBalancer."
	switch {
	case g.Address == AddressShared && !s.shareable():
		why, fix := "somebody else's balancer is not told which names it hands over", "write grpcBalancer.address: own"
		switch {
		case vhosts && g.Kind != NginxHTTP:
			why, fix = "nginx's http{} ends the TLS of every connection that it takes, and hands none over by its name", "write grpcBalancer.listen with an address of its own, or grpcBalancer.kind: nginx"
		case vhosts:
			why, fix = "nginx takes cleartext HTTP/1.1 from the HTTP balancer there, and agents by gRPC must go past it", "write grpcBalancer.address: own, or loadBalancer.tls: reencrypt"
		}
		c.add(CodeGRPCAddress, c.written(at+"address", at+"kind"), "the gRPC balancer cannot share the load balancer's address", why, fix)
	case g.Address == AddressShared && vhosts && len(g.Listen) > 0:
		c.add(CodeGRPCAddress, at+"listen", "grpcBalancer.listen is set although the address is shared",
			"gRPC is one more vhost of the same listener", "remove it, or write grpcBalancer.address: own")
	case g.Address == AddressShared && len(g.Listen) != 1 && !vhosts:
		c.add(CodeGRPCAddress, at+"listen", fmt.Sprintf("grpcBalancer.listen has %d addresses although the address is shared", len(g.Listen)),
			"the load balancer hands the connections over to one", "write one, as in 127.0.0.1:9444")
	case g.Address == AddressOwn && len(g.Listen) == 0 && !g.Kind.External():
		c.add(CodeGRPCAddress, c.written(at+"listen", at+"address", at+"kind"), "grpcBalancer.listen is not set, and the load balancer's address is not shared",
			"the load balancer has port 443 of every address, so nothing can be guessed", "write an address of its own, as in 192.0.2.2:443, and give loadBalancer.listen another")
	case g.Address == AddressShared && c.has(at+"acceptProxyProtocol"):
		c.add(CodeGRPCAddress, at+"acceptProxyProtocol", "grpcBalancer.acceptProxyProtocol is set although the address is shared",
			"what comes before it then is the load balancer, which states clients' addresses as loadBalancer.proxyProtocol says", "remove it")
	}
}

// grpcTLS looks at who ends the TLS of the second name.
func (c *checker) grpcTLS() {
	s, g := c.spec, c.spec.GRPCBalancer
	if g.Kind.External() || g.Address != AddressShared {
		return
	}
	ended := s.endedBefore()
	switch {
	case ended && g.TLS == GRPCTerminate:
		c.add(CodeGRPCTLS, "grpcBalancer.tls", "grpcBalancer.tls is terminate although the load balancer has ended TLS",
			"it ends TLS for both names when it chooses by them", "remove it, or write loadBalancer.tls: passthrough")
	case !ended && g.TLS == GRPCCleartext:
		c.add(CodeGRPCTLS, "grpcBalancer.tls", "grpcBalancer.tls is cleartext although nobody ends TLS before it",
			"the connection arrives as the agent opened it", "remove it, or give the balancer that ends TLS an address of its own")
	}
}
