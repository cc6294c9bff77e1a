package proof

import (
	"fmt"
	"regexp"
	"strings"

	"kasgen/internal/diag"
)

// grpcPath is where the methods are that agents call.
const grpcPath = "/gitlab.agent."

// names holds each name to what has to pass under it.
func (p *proving) names() {
	if p.Edge {
		p.behindEdge(p.Host)
	} else {
		for _, w := range p.Ways {
			if p.Managed && w.Host == p.Host && (w.Via.Name == p.Release+"-kas" || w.Via.Name == p.Release+"-kas-grpc") {
				p.bothWays(w, "a balancer's of the provider")
			}
		}
		p.need(p.Host, p.Prefix+"/api", "kubectl, Helm and CI jobs", p.kas.k8s, false)
		if p.WSS {
			p.need(p.Host, "/", "agents by WebSocket", p.kas.agent, false)
		}
	}
	if !p.GRPC {
		return
	}
	switch host := p.GRPCHost; {
	case host == "" && p.Edge:
	case host == "":
		p.need(p.Host, grpcPath, "agents by gRPC", p.kas.agent, true)
	default:
		p.need(host, grpcPath, "agents by gRPC", p.kas.agent, true)
	}
}

// absent reports a name that only objects beside the release serve.
func (p *proving) absent(host string) bool {
	if !p.outside(host) || p.Extras {
		return false
	}
	p.add(diag.Warning, CodeOutside, nil, "names", host+" is not looked at: objects beside the release serve it",
		"topology "+p.Topology+" needs more than the chart has", "look at both with --extras")
	return true
}

// need reports a name and path that no way serves well.
func (p *proving) need(host, path, who string, port int, http2 bool) {
	if p.absent(host) {
		return
	}
	w, ok := p.best(host, path)
	if !ok {
		p.add(diag.Error, CodeNoWay, nil, "names", fmt.Sprintf("no object leads %s to kas: %s", host+strings.TrimSuffix(path, "/api"), who),
			"Ingress, routes and Services were looked at", "look at the keys of gitlab.kas.ingress, gitlab.kas.gatewayRoute and global.hosts.kas")
		return
	}
	if w.Raw {
		p.add(diag.Error, CodeProtocol, w.Via, "", "bytes for "+host+" reach kas unread, so that paths cannot lead to two ports", "kas has agents at one port and the Kubernetes API at another", "put the edge between")
		return
	}
	if w.To == Edge {
		return // what is behind it is looked at by itself
	}
	if w.Port != port {
		p.add(diag.Error, CodePort, w.Via, "gitlab.kas.ingress", fmt.Sprintf("%s leads to port %d of kas, not to %d: %s", host+path, w.Port, port, who),
			"requests get an answer that is not theirs, 426 of the agents' port for example", "leave agentPath, k8sApiPath and the Service's ports to the chart")
	}
	if http2 && !w.HTTP2 {
		p.add(diag.Error, CodeProtocol, w.Via, "gitlab.kas.ingress.grpc.enabled", "speaks HTTP/1.1 for "+host+path+", and gRPC is HTTP/2", "agents get 426 or a broken stream", "switch on the chart's route for gRPC, or give gRPC a name of its own")
	}
	if !http2 && !w.Upgrades {
		p.add(diag.Error, CodeProtocol, w.Via, "gitlab.kas.ingress.annotations", "speaks HTTP/2 for "+host+path+", which has no upgrades", who+" need HTTP/1.1 to upgrade", "leave backend-protocol to the chart")
	}
	for _, l := range w.Limits {
		severity, why := diag.Error, "exec, port-forward, watch, logs -f and agents' streams are cut"
		if l.Faint {
			severity, why = diag.Warning, "a stream that lasts may be cut"
		}
		if l.Code == CodeBody {
			why = "kubectl apply and cp of more are refused with 413, and gRPC streams are reset"
		}
		p.add(severity, l.Code, w.Via, l.Field, fmt.Sprintf("%s for %s", l, host+strings.TrimSuffix(path, "/api")), why, "take the values that `kasgen chart values` gives")
	}
}

// best is the way that a request takes: the longest path, an expression first.
func (p *proving) best(host, path string) (Way, bool) {
	var best Way
	found := false
	for _, w := range p.Ways {
		if w.Host != host && (w.Host != "" || !w.Raw) || !w.takes(path) {
			continue
		}
		if w.Raw && w.Host == "" && !p.rawFor(w, host) {
			continue
		}
		if !found || rank(w) > rank(best) {
			best, found = w, true
		}
	}
	return best, found
}

// rawFor says whether a Service without a name is the one for a host. One that
// leads to the edge is for the names that the edge takes.
func (p *proving) rawFor(w Way, host string) bool {
	if w.To == Edge {
		return p.edge != nil && contains(p.edge.file.Listeners[0].ServerNames, host)
	}
	return host == p.Host || host == p.GRPCHost
}

func contains(names []string, host string) bool {
	if len(names) == 0 {
		return true
	}
	for _, n := range names {
		if n == host {
			return true
		}
	}
	return false
}

func rank(w Way) int {
	n := 2 * len(w.Path)
	if w.Regexp {
		n++
	}
	switch {
	case !w.Raw:
		n += 1000 // an exact name goes before bytes for any
	case w.To == Edge:
		n++ // of two addresses, DNS names the one that reads what it gets
	}
	return n
}

func (w Way) takes(path string) bool {
	if w.Raw {
		return true
	}
	if w.Regexp {
		re, err := regexp.Compile("(?i)^" + w.Path)
		return err == nil && re.MatchString(path+"x")
	}
	if w.Path == grpcPath {
		return strings.HasPrefix(path, grpcPath)
	}
	prefix := strings.TrimSuffix(w.Path, "/")
	if tail, ok := strings.CutSuffix(prefix, "/*"); ok {
		prefix = tail
	}
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

// behindEdge holds the way through the edge to what the topology asks.
func (p *proving) behindEdge(host string) {
	for _, w := range p.Ways {
		if w.Host == host && w.To == KAS && !w.Raw {
			p.bothWays(w, "the edge's")
		}
	}
	if p.absent(host) {
		return
	}
	if p.edge == nil {
		p.add(diag.Error, CodeNoWay, nil, "names", "no object leads "+host+" to an edge", "topology "+p.Topology+" has one", "install what `kasgen chart extras` gives")
		return
	}
	w, ok := p.best(host, "/")
	switch {
	case !ok || w.To != Edge:
		p.add(diag.Error, CodeNoWay, p.edge.map_, "names", "nothing leads "+host+" to the edge", "it is behind no Service of type LoadBalancer and no TLSRoute", "generate it again")
	case !w.Raw:
		p.add(diag.Error, CodeProtocol, w.Via, "", "reads what "+host+" gets before the edge does", "a balancer for HTTP does not pass what the edge is there for", "use a TCP balancer")
	case w.Port != p.edge.port:
		p.add(diag.Error, CodePort, w.Via, "", fmt.Sprintf("leads to port %d of the edge, not to %d", w.Port, p.edge.port), "nothing listens there", "generate it again")
	case w.Ended && p.edge.file.Listeners[0].TLS != nil:
		p.add(diag.Error, CodeProtocol, w.Via, "", "ends TLS before an edge that expects it", "handshakes fail", "generate it again")
	case !w.Ended && p.edge.file.Listeners[0].TLS == nil:
		p.add(diag.Error, CodeProtocol, w.Via, "", "passes TLS to an edge that expects none", "handshakes fail", "generate it again")
	}
	p.upstreams()
}

func (p *proving) bothWays(w Way, whose string) {
	p.add(diag.Error, CodeBothWays, w.Via, "gitlab.kas.ingress.enabled", "takes "+w.Host+", which is "+whose,
		"it passes neither what the topology promises nor its limits, and DNS leads to one of the two", "set gitlab.kas.ingress.enabled and gitlab.kas.gatewayRoute.enabled to false")
}

// upstreams holds the edge's to kas's Service.
func (p *proving) upstreams() {
	l := p.edge.file.Listeners[0]
	if !contains(l.ServerNames, p.Host) {
		p.add(diag.Error, CodeNoWay, p.edge.map_, "names.kas", "the edge refuses the name "+p.Host, "its serverNames have others", "generate it again")
	}
	lead := func(what, upstream string, want int) {
		for _, u := range p.edge.file.Upstreams {
			if u.Name != upstream {
				continue
			}
			name, port, _ := strings.Cut(u.Address, ":")
			name, _, _ = strings.Cut(name, ".")
			to, ok := p.behind(name, intPort(port))
			if !ok || to.part != KAS || to.port != want {
				p.add(diag.Error, CodePort, p.edge.map_, "", fmt.Sprintf("%s go to %s, which is not port %d of kas", what, u.Address, want), "the edge and the release belong together", "generate the extras for this release, with --release and --namespace")
			}
			if p.kasTLS(want) != (u.TLS != nil) {
				p.add(diag.Error, CodeProtocol, p.edge.map_, "global.kas.tls.enabled", what+" are sent to kas in another way than it listens, with TLS or without", "the connection fails", "leave global.kas.tls.enabled at false: the edge speaks cleartext inside the cluster")
			}
			return
		}
		p.add(diag.Error, CodeNoWay, p.edge.map_, "", what+" have no way behind the edge", "no upstream is named for them", "generate it again")
	}
	for _, path := range l.Routes.Paths {
		if path.Prefix == p.Prefix {
			lead("requests for the Kubernetes API", path.Upstream, p.kas.k8s)
		} else if path.Prefix == "/" && p.WSS {
			lead("agents by WebSocket", path.Upstream, p.kas.agent)
		}
	}
	if p.GRPC && p.GRPCHost == "" {
		lead("agents by gRPC", l.Routes.GRPC, p.kas.agent)
	}
}

// Title says in a line where a way leads.
func (w Way) Title() string {
	host := w.Host
	if host == "" {
		host = "(any name)"
	}
	how := "HTTP/1.1"
	switch {
	case w.Raw && w.Ended:
		how = "TCP, TLS ended"
	case w.Raw:
		how = "TCP"
	case w.HTTP2 && w.Upgrades:
		how = "HTTP/1.1 or HTTP/2"
	case w.HTTP2:
		how = "HTTP/2"
	}
	text := fmt.Sprintf("%s%s -> %s:%d by %s, %s", host, w.Path, w.To, w.Port, how, w.Via.Title())
	if w.Secret != "" {
		text += ", Secret " + w.Secret
	}
	return text
}
