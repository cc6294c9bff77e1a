package spec

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// secondName checks the name of agents by gRPC, where there is one.
func (c *checker) secondName() {
	if c.note("names.grpc", Rule{Form: FormName}) || len(c.spec.Topology.shape().grpc) == 0 || c.spec.Names.GRPC == "" {
		return
	}
	c.name("names.grpc", c.spec.Names.GRPC)
}

// networks reports what is not a network.
func (c *checker) networks(field string, list []string) {
	c.distinct(field, list)
	for i, text := range list {
		at := fmt.Sprintf("%s[%d]", field, i)
		if c.note(at, Rule{Form: FormNetwork}) {
			continue
		}
		network, err := netip.ParsePrefix(text)
		switch {
		case err != nil:
			c.add(CodeNetwork, at, fmt.Sprintf("%s is %q", at, text), "it must be a network in CIDR notation", "write it like 10.0.0.0/8, or 192.0.2.1/32 for one address")
		case network.Masked() != network:
			c.add(CodeNetwork, at, fmt.Sprintf("%s is %q", at, text), "its address has bits outside the network, so one of the two is wrong", "write "+network.Masked().String())
		}
	}
}

// grpcBalancer checks the single values of the section.
func (c *checker) grpcBalancer() {
	g, sh := c.spec.GRPCBalancer, c.spec.Topology.shape()
	at := "grpcBalancer."
	if len(sh.grpc) == 0 && c.rules == nil {
		return // secondary reports the section
	}
	choice(c, at+"kind", g.Kind, HAProxy, NginxHTTP, ExternalHTTP2)
	choice(c, at+"address", g.Address, AddressShared, AddressOwn)
	choice(c, at+"tls", g.TLS, GRPCTerminate, GRPCCleartext)
	choice(c, at+"acceptProxyProtocol", g.AcceptProxyProtocol, ProxyNone, ProxyV1, ProxyV2)
	for i, address := range g.Listen {
		c.listen(fmt.Sprintf("%slisten[%d]", at, i), address)
	}
	c.distinct(at+"nodes", g.Nodes)
	if c.has(at + "nodes") { // others follow from loadBalancer.nodes, whose faults are reported
		for i, node := range g.Nodes {
			c.dialled(fmt.Sprintf("%snodes[%d]", at, i), node)
		}
	}
}

// http checks port 80.
func (c *checker) http() {
	for i, address := range c.spec.HTTP.Listen {
		c.listen(fmt.Sprintf("http.listen[%d]", i), address)
	}
}

// kinds reports a load balancer that cannot carry the topology.
func (c *checker) kinds() {
	s, sh, field := c.spec, c.spec.Topology.shape(), "loadBalancer.kind"
	kind := s.LoadBalancer.Kind
	if slices.Contains(sh.balancers, kind) || !slices.Contains(balancerKinds(), kind) {
		return
	}
	var words []string
	for _, k := range sh.balancers {
		words = append(words, string(k))
	}
	allowed := strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
	one := fmt.Sprintf("one name carries everything in topology %s, and ", s.Topology)
	fix := "use a TCP balancer: loadBalancer.kind " + allowed
	switch {
	case sh.vhosts && kind == ExternalHTTP2:
		c.add(CodeHTTPBalancer, field, fmt.Sprintf("topology %s cannot stand behind an HTTP/2 balancer", s.Topology),
			"names.kas takes agents over WebSocket and kubectl, and a balancer that speaks HTTP/2 to its backend passes no upgrade",
			"use loadBalancer.kind "+allowed+"; an HTTP/2 balancer is for names.grpc: grpcBalancer.kind external-http2")
	case sh.vhosts:
		c.add(CodeBalancerKind, field, fmt.Sprintf("topology %s has no place for loadBalancer.kind %s", s.Topology, kind),
			"nginx itself is the balancer there: it ends TLS and reads HTTP",
			"use loadBalancer.kind "+allowed+"; a TCP balancer before nginx states clients' addresses by loadBalancer.acceptProxyProtocol")
	case kind == ExternalHTTP && len(sh.grpc) > 0:
		c.add(CodeHTTPBalancer, field, fmt.Sprintf("topology %s cannot have names.kas behind an HTTP balancer", s.Topology),
			"names.kas takes kubectl over SPDY, which an HTTP/1.1 balancer does not pass", fix+", or a topology that refuses SPDY: D")
	case kind == ExternalHTTP2 && len(sh.grpc) > 0:
		c.add(CodeHTTPBalancer, field, fmt.Sprintf("topology %s cannot have names.kas behind an HTTP/2 balancer", s.Topology),
			"names.kas takes agents over WebSocket and kubectl, and a balancer that speaks HTTP/2 to its backend passes no upgrade",
			fix+"; an HTTP/2 balancer is for names.grpc: grpcBalancer.kind external-http2")
	case kind == ExternalHTTP:
		c.add(CodeHTTPBalancer, field, fmt.Sprintf("topology %s cannot stand behind an HTTP balancer", s.Topology),
			one+"an HTTP/1.1 balancer passes neither gRPC nor SPDY", fix)
	case kind == ExternalHTTP2:
		c.add(CodeHTTPBalancer, field, fmt.Sprintf("topology %s cannot stand behind an HTTP/2 balancer", s.Topology),
			one+"a balancer that speaks HTTP/2 to its backend passes no upgrade, so neither WebSocket nor SPDY", fix)
	default:
		c.add(CodeBalancerKind, field, fmt.Sprintf("topology %s has no place for loadBalancer.kind %s", s.Topology, kind),
			"its balancer passes bytes to the edge, and nginx's http{} reads HTTP, in which gRPC and upgrades exclude each other", fix)
	}
}

// EndsTLS says whether a TCP balancer of somebody else's ends clients' TLS,
// whatever it speaks then.
func (lb LoadBalancer) EndsTLS() bool {
	return lb.Kind == ExternalTCP && lb.TLS != Passthrough
}

// balancerTLS reports what a kind of balancer cannot do with TLS.
func (c *checker) balancerTLS() {
	lb := c.spec.LoadBalancer
	if !slices.Contains(c.spec.Topology.shape().balancers, lb.Kind) {
		return // kinds reports that
	}
	field := c.written("loadBalancer.tls", "loadBalancer.kind")
	say := func(why, fix string) {
		c.add(CodeBalancerTLS, field, fmt.Sprintf("loadBalancer.kind %s cannot have loadBalancer.tls %s", lb.Kind, lb.TLS), why, fix)
	}
	switch {
	case lb.Kind == NginxHTTP && lb.TLS != Terminate && lb.TLS != "":
		say("a vhost of nginx ends TLS, and kas behind it takes cleartext", "write loadBalancer.tls: terminate, or leave it out")
	case lb.Kind.ExternalHTTP() && lb.TLS == Passthrough:
		say("a balancer that reads HTTP has ended TLS", "write terminate, where it speaks cleartext to nginx, or reencrypt, where it speaks TLS")
	case !lb.Kind.HTTP() && lb.Kind != ExternalTCP && lb.TLS == Reencrypt:
		say("the TCP balancer that is rendered passes TLS on or passes on what was in it", "write passthrough, or terminate")
	}
	if lb.ALPN != ALPNNone {
		return
	}
	switch {
	case !lb.EndsTLS():
		c.add(CodeBalancerTLS, "loadBalancer.alpn", "loadBalancer.alpn is none although no balancer of others ends TLS",
			"what is rendered negotiates ALPN", "remove it, or use loadBalancer.kind: external-tcp with tls: terminate")
	case len(c.spec.Topology.shape().grpc) == 0:
		c.warn(CodeExternalALPN, "loadBalancer.alpn", "agents by gRPC cannot connect through a balancer that negotiates no ALPN",
			"grpc-go from 1.67 refuses a connection without h2 in ALPN", "use a balancer that negotiates it, or pass TLS through, or give gRPC a name and a balancer of its own: topology B")
	}
}

// realIP looks at where nginx takes clients' addresses from.
func (c *checker) realIP() {
	lb, sh := c.spec.LoadBalancer, c.spec.Topology.shape()
	proxy := lb.AcceptProxyProtocol != ProxyNone
	switch {
	case len(lb.RealIPFrom) > 0 && (!sh.vhosts || !lb.Kind.ExternalHTTP() && !proxy):
		c.add(CodeRealIP, "loadBalancer.realIPFrom", "loadBalancer.realIPFrom is set although no balancer stands before an nginx that is rendered",
			"anyone in these networks could state any client's address", "remove it; a TCP balancer states addresses by loadBalancer.proxyProtocol")
	case sh.vhosts && lb.Kind.ExternalHTTP() && proxy:
		c.add(CodeRealIP, "loadBalancer.acceptProxyProtocol", "clients' addresses cannot come by PROXY protocol and by X-Forwarded-For",
			"an HTTP balancer states them in X-Forwarded-For, and nginx believes one of the two", "write loadBalancer.acceptProxyProtocol: none")
	case sh.vhosts && lb.Kind.ExternalHTTP() && len(lb.RealIPFrom) == 0:
		c.warn(CodeNoRealIP, c.written("loadBalancer.realIPFrom", "loadBalancer.kind"), "every client will seem to have the balancer's address",
			"nginx believes X-Forwarded-For only from networks that it is told to trust", "set loadBalancer.realIPFrom to the balancer's networks, or suppress this")
	}
}

// opened takes each socket that the balancers, the edge and port 80 open on
// this machine.
func (c *checker) opened(take func(field, address string, only6 bool)) {
	lb, g, sh := c.spec.LoadBalancer, c.spec.GRPCBalancer, c.spec.Topology.shape()
	share := lb.ShareWithGitLab
	if !lb.Kind.External() || sh.vhosts {
		for i, address := range lb.Listen {
			take(fmt.Sprintf("loadBalancer.listen[%d]", i), address, true)
		}
		for i, kept := range c.spec.Migration.Keep {
			take(fmt.Sprintf("migration.keep[%d].listen", i), kept.Listen, true)
		}
		if e, err := parseEndpoint(share.Address); err == nil && share.Enabled && e.loopback() {
			take("loadBalancer.shareWithGitLab.address", share.Address, false)
		}
	}
	if len(sh.grpc) > 0 && !g.Kind.External() {
		for i, address := range g.Listen {
			take(fmt.Sprintf("grpcBalancer.listen[%d]", i), address, true)
		}
	}
	for i, address := range c.spec.HTTP.Listen {
		take(fmt.Sprintf("http.listen[%d]", i), address, true)
	}
	if c.spec.TLS.Source == TLSACME {
		take("tls.acme.observability", c.spec.TLS.ACME.Observability, false)
	}
	switch {
	case !sh.vhosts:
		take("edge.listen", c.spec.Edge.Listen, false)
	case share.Enabled:
		take("loadBalancer.shareWithGitLab.vhosts", share.Vhosts, true)
	}
}
