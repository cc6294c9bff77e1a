package probe

import (
	"context"
	"fmt"
	"strings"
)

// checkALPN makes the offers that clients make: kubectl both, agents h2 alone,
// upgrades http/1.1 alone, old agents none.
func (e *endpoint) checkALPN(ctx context.Context) Check {
	var seen []string
	got := map[string]string{}
	for _, offer := range [][]string{{"h2", "http/1.1"}, {"h2"}, {"http/1.1"}, nil} {
		d := e.plainly()
		d.alpn = offer
		name := strings.Join(offer, "+")
		if name == "" {
			name = "none"
		}
		switch h, err := e.shake(ctx, d); {
		case err != nil:
			got[name] = "refused"
		case h.alpn == "":
			got[name] = "none"
		default:
			got[name] = h.alpn
		}
		seen = append(seen, fmt.Sprintf("%s: %s", name, got[name]))
	}
	e.prefers = got["h2+http/1.1"]
	observed := "offered, taken: " + strings.Join(seen, "; ")
	web := e == e.s.kas
	switch {
	case web && got["http/1.1"] == "refused":
		return failed(codeALPN, observed, "agents' WebSockets and kubectl's upgrades are HTTP/1.1, and offer nothing else", "take http/1.1 into the listener's ALPN (alpn of HAProxy's bind, ssl_alpn of nginx stream, alpn in edge.yaml)")
	case e == e.s.grpc && got["h2"] != "h2":
		return failed(codeALPN, observed, "agents by grpcs refuse a connection without h2 in ALPN (grpc-go from 1.67)",
			"take h2 into the listener's ALPN (http2 on nginx's listen, alpn of HAProxy's bind, ssl_alpn of nginx stream, alpn in edge.yaml), or end TLS behind the balancer").warned()
	case web && e.prefers == "none" && got["h2"] == "none":
		return passed("%s; clients by HTTP/1.1 do without ALPN", observed)
	default:
		return passed("%s", observed)
	}
}
