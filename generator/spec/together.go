package spec

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"kasgen/internal/kasconf"
)

// together reports values that are right alone and cannot be combined.
func (c *checker) together() {
	c.kinds()
	c.balancerTLS()
	c.proxyHeaders()
	c.realIP()
	c.grpc()
	c.sharing()
	c.external()
	c.registry()
	c.reach()
	c.arrive()
	c.names()
	c.certificates()
	c.challenges()
	c.edgeEnds()
	c.agents()
	c.overlap()
	c.advice()
}

func (c *checker) proxyHeaders() {
	lb := c.spec.LoadBalancer
	if !c.spec.stream() {
		return
	}
	if lb.ProxyProtocol == ProxyV2 {
		c.add(CodeProxyV2, "loadBalancer.proxyProtocol", "nginx-stream cannot send PROXY v2",
			"nginx's stream module writes version 1 only", "write v1, or use loadBalancer.kind: haproxy")
	}
	v, err := kasconf.ParseVersion(c.spec.Nginx.Version)
	if err == nil && lb.Kind == NginxStream && lb.TLS == Terminate && v.Less(alpnNginx()) {
		c.add(CodeNginxOld, c.written("nginx.version", "loadBalancer.tls"), fmt.Sprintf("nginx %s cannot end TLS for gRPC", v),
			"it negotiates no ALPN in stream, and agents refuse a connection without h2 in ALPN", "use nginx 1.21.4 or later, or loadBalancer.tls: passthrough")
	}
}

func (c *checker) sharing() {
	lb := c.spec.LoadBalancer
	share := lb.ShareWithGitLab
	if !share.Enabled {
		return
	}
	if lb.TLS == Terminate && !lb.Kind.HTTP() {
		c.add(CodeShareTerminate, c.written("loadBalancer.shareWithGitLab.enabled", "loadBalancer.tls"), "a shared port cannot have its TLS ended by the balancer",
			"it would need GitLab's certificate too, and would pass GitLab cleartext", "use loadBalancer.tls: passthrough")
	}
	if c.spec.stream() && share.ProxyProtocol != lb.ProxyProtocol {
		c.add(CodeShareHeader, "loadBalancer.shareWithGitLab.proxyProtocol", fmt.Sprintf("nginx-stream cannot send PROXY %s to kas and %s to GitLab", lb.ProxyProtocol, share.ProxyProtocol),
			"nginx's stream module decides that for a listener, not for where it passes to", "make both the same, or use loadBalancer.kind: haproxy")
	}
}

func (c *checker) external() {
	lb := c.spec.LoadBalancer
	if !lb.Kind.External() {
		return
	}
	if lb.ShareWithGitLab.Enabled {
		c.add(CodeExternal, "loadBalancer.shareWithGitLab.enabled", fmt.Sprintf("loadBalancer.kind %s cannot be told to share its port", lb.Kind),
			"nothing is rendered for a balancer that somebody else runs", "route GitLab's name there, and remove this")
	}
	if lb.Kind.ExternalHTTP() {
		return // nginx behind it is rendered
	}
	if len(c.spec.Migration.Keep) > 0 {
		c.add(CodeExternal, "migration.keep", fmt.Sprintf("loadBalancer.kind %s cannot keep old listeners", lb.Kind),
			"nothing is rendered for a balancer that somebody else runs", "keep them there, and remove this")
	}
	if len(lb.Nodes) > 0 {
		c.add(CodeExternal, "loadBalancer.nodes", fmt.Sprintf("loadBalancer.kind %s cannot be given nodes", lb.Kind),
			"nothing is rendered for a balancer that somebody else runs", "name the nodes there, and remove this")
	}
	switch {
	case !lb.EndsTLS() || lb.ALPN != ALPNNegotiated:
	case len(c.spec.Topology.shape().grpc) > 0:
		c.warn(CodeExternalALPN, "loadBalancer.tls", "the external balancer must negotiate ALPN http/1.1, and never h2",
			"names.kas takes HTTP/1.1 only, and with h2 kubectl would get a protocol in which it cannot upgrade", "check it, write loadBalancer.alpn: none if it negotiates nothing, or pass TLS through")
	default:
		c.warn(CodeExternalALPN, "loadBalancer.tls", "the external balancer must negotiate ALPN http/1.1 and h2, in this order",
			"without ALPN agents refuse gRPC, and with h2 first kubectl would get a protocol in which it cannot upgrade", "check it, or pass TLS through")
	}
}

// registry looks at several nodes.
func (c *checker) registry() {
	lb, k := c.spec.LoadBalancer, c.spec.KAS
	if k.Kind == KASGitLab && k.Redis == nil {
		c.add(CodeGitLabRedis, c.written("kas.redis", "kas.kind"), "GitLab's kas needs Redis",
			"it keeps its tunnels there and does not start without it", "set kas.redis.address, or use kas.kind: embedded")
	}
	field, nodes := "loadBalancer.nodes", len(lb.Nodes)
	if n := len(c.spec.GRPCBalancer.Nodes); n > nodes {
		field, nodes = "grpcBalancer.nodes", n
	}
	if nodes > 1 && k.Kind == KASEmbedded && k.Redis == nil {
		c.add(CodeRegistry, field, fmt.Sprintf("%d nodes have no shared registry", nodes),
			"an agent's tunnel is on one node, and the others would not know on which", "use one node, or run GitLab's kas: kas.kind: gitlab with kas.redis; the embedded kas keeps its tunnels in memory")
	}
}

func (c *checker) names() {
	for _, n := range []struct{ field, value, taken string }{
		{"names.kas", c.spec.Names.KAS, "agents and the Kubernetes API"}, {"names.grpc", c.spec.Names.GRPC, "agents by gRPC"},
	} {
		for _, gitlab := range []string{c.spec.GitLab.URL, c.spec.GitLab.ExternalURL} {
			u, err := url.Parse(gitlab)
			if err == nil && n.value != "" && strings.EqualFold(u.Hostname(), n.value) {
				c.add(CodeSameName, n.field, fmt.Sprintf("%s is GitLab's own name, %s", n.field, n.value),
					fmt.Sprintf("every path of this name belongs to %s in topology %s", n.taken, c.spec.Topology), "give kas a name of its own")
				break
			}
		}
	}
}

func (c *checker) certificates() {
	if c.spec.TLS.Source != TLSDevelopmentCA {
		return
	}
	for _, field := range []string{"tls.certificateFile", "tls.keyFile", "tls.combinedFile"} {
		if c.has(field) {
			c.add(CodeDevelopment, field, field+" is set although tls.source is developmentCA",
				"the development CA writes below stateDir only, so that it never replaces a real certificate", "remove it, or use tls.source: files")
		}
	}
}

// leastIdle is what agents need: agentk pings each 55 s without streams, and a
// shorter limit would cut it.
const leastIdle = 2 * time.Minute

func (c *checker) agents() {
	if c.spec.Agents.Websocket == WebsocketRemove && c.spec.Agents.RemoveAfter != "" {
		c.add(CodeRemoveAfter, "agents.removeAfter", "agents.removeAfter is set although WebSocket is removed already",
			"it is the day on which people mean to remove it", "remove it, or use agents.websocket: keep")
	}
	if idle := time.Duration(c.spec.Timeouts.Idle); idle > 0 && idle < leastIdle {
		c.add(CodeIdle, "timeouts.idle", fmt.Sprintf("timeouts.idle is %v", idle),
			"agents are silent for up to a minute between pings, and would be cut", "write 2m or more")
	}
}

// overlap reports sockets that cannot both be opened on this machine.
func (c *checker) overlap() {
	var open []listener
	take := func(field, address string, only6 bool) {
		e, err := parseEndpoint(address)
		if err != nil {
			return // reported already
		}
		l := listener{field: field, text: address, endpoint: e, only6: only6}
		for _, other := range open {
			if l.overlaps(other) {
				c.add(CodeOverlap, c.written(field, other.field), fmt.Sprintf("%s, %s, overlaps %s, %s", field, address, other.field, other.text),
					"both would listen on port "+fmt.Sprint(e.port)+" of the same address", "give one of them another port or address")
				break
			}
		}
		open = append(open, l)
	}
	c.opened(take)
	l := c.spec.KAS.Listen
	take("kas.listen.agent", l.Agent, false)
	take("kas.listen.kubernetesAPI", l.KubernetesAPI, false)
	take("kas.listen.observability", l.Observability, false)
	take("kas.listen.api", l.API, false)
	take("kas.listen.privateAPI", l.PrivateAPI, false)
}
