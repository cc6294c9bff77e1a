package probe

import (
	"fmt"
	"slices"
	"strings"

	"kasgen/internal/edgeconf"
)

// edgeHop is a listener of edge.yaml, and the route that a client takes.
func (b *Bundle) edgeHop(takes func(bind string) bool, a asked) *hop {
	if b.edge == nil {
		return nil
	}
	for i, l := range b.edge.Listeners {
		if takes(l.Address) {
			return b.edgeListener(i, a)
		}
	}
	return nil
}

func (b *Bundle) edgeListener(i int, a asked) *hop {
	l := b.edge.Listeners[i]
	field := fmt.Sprintf("listeners[%d].", i)
	h := &hop{from: listening{at: b.edgeAt.Pos(field + "proxyProtocol"), port: portOf(l.Address), secure: l.TLS != nil}}
	if l.ProxyProtocol != edgeconf.ProxyNone {
		h.from.proxy = string(l.ProxyProtocol)
	}
	upstream, path := l.Routes.GRPC, -1
	if !a.grpc {
		upstream = ""
		for n, p := range l.Routes.Paths {
			below := a.path == p.Prefix || strings.HasPrefix(a.path, strings.TrimSuffix(p.Prefix, "/")+"/")
			if below && (path < 0 || len(p.Prefix) > len(l.Routes.Paths[path].Prefix)) {
				upstream, path = p.Upstream, n
			}
		}
	}
	for n, u := range b.edge.Upstreams {
		if u.Name == upstream {
			at := b.edgeAt.Pos(fmt.Sprintf("upstreams[%d].address", n))
			h.to = &sending{at: at, how: at, address: u.Address, secure: u.TLS != nil, h2: a.grpc}
		}
	}
	h.suspects = func(c *Check, e *endpoint) []suspect { return b.inEdge(c, e, i, path) }
	return h
}

// inEdge looks at a listener of edge.yaml, and one of its paths.
func (b *Bundle) inEdge(c *Check, e *endpoint, i, path int) []suspect {
	l := b.edge.Listeners[i]
	at := func(field, line string) []suspect {
		return []suspect{{b.edgeAt.Pos(fmt.Sprintf("listeners[%d].%s", i, field)), line}}
	}
	route := fmt.Sprintf("routes.paths[%d]", path)
	switch c.Code {
	case codeProxy:
		return at("proxyProtocol", "the header that the edge asks for")
	case codeALPN:
		if l.TLS != nil {
			return at("tls.alpn", "the edge's ALPN, in its order of preference: "+strings.Join(l.TLS.ALPN, ", "))
		}
	case codeCertName:
		if len(l.ServerNames) > 0 && !slices.Contains(l.ServerNames, e.host) {
			return at("serverNames", "the names that the edge serves: "+strings.Join(l.ServerNames, ", "))
		}
		if l.TLS != nil {
			return at("tls.certificateFile", "the certificate that the edge shows")
		}
	case codeChain, codeExpiry:
		if l.TLS != nil {
			return at("tls.certificateFile", "the certificate that the edge shows")
		}
	case codeGRPC:
		if l.Routes.GRPC == "" {
			return at("routes", "there is no route for gRPC")
		}
		if l.TLS != nil && !slices.Contains(l.TLS.ALPN, "h2") {
			return at("tls.alpn", "without h2 no agent comes by gRPC")
		}
	case codeSPDY, codeUpgrade, codeWebSocket:
		token := map[ID]string{CheckUpSPDY: "SPDY/3.1", CheckExecSPDY: "SPDY/3.1"}[c.ID]
		if token == "" {
			token = "websocket"
		}
		if path >= 0 && !slices.Contains(l.Routes.Paths[path].Upgrades, token) {
			return at(route+".upgrades", "the upgrades that the edge lets through, without "+token)
		}
	case codeAgentPort, codeNotKAS:
		if path >= 0 && c.Code == codeAgentPort && l.Routes.Paths[path].Prefix != "/" {
			for n, u := range b.edge.Upstreams {
				if u.Name == l.Routes.Paths[path].Upstream {
					return []suspect{{b.edgeAt.Pos(fmt.Sprintf("upstreams[%d].address", n)), "where the edge sends " + l.Routes.Paths[path].Prefix}}
				}
			}
		}
		if path >= 0 {
			return at(route+".prefix", "the edge's route for the path")
		}
		return at("routes.paths", "the edge has no route for the path")
	case codePrefix:
		if path >= 0 && l.Routes.Paths[path].Strip {
			return at(route+".strip", "the edge takes the prefix away")
		}
	}
	return nil
}
