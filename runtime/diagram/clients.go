package diagram

import (
	"net"
	"slices"
	"strings"

	"kasgen/internal/lockfile"
)

// clientBoxes are the names that clients connect to, as the manifest has them,
// and somebody else's balancers before the bundle.
func clientBoxes(l *lockfile.File, boxes []*Box) []*Box {
	if l.Names == nil {
		return nil
	}
	hosts := []lockfile.Host{l.Names.KAS}
	if l.Names.GRPC != nil {
		hosts = append(hosts, *l.Names.GRPC)
	}
	var out []*Box
	for i, h := range hosts {
		b := &Box{Title: h.Name, From: "clients"}
		for _, kind := range traffic(l, i == 1) {
			b.fact(kind)
		}
		row := Row{Match: ports(h.Listeners), Carries: "TLS", addresses: h.Listeners}
		out = append(out, b)
		if h.Front != nil {
			front := balancer(h)
			row = Row{Match: "every connection", Carries: "TLS", To: []*Box{front}}
			out = append(out, front)
		}
		b.Rows = append(b.Rows, row)
		if plain := onPort80(h, boxes); len(plain) > 0 {
			b.Rows = append(b.Rows, Row{Match: "port 80", Carries: "HTTP", To: plain})
		}
	}
	return out
}

// traffic is what comes to a name.
func traffic(l *lockfile.File, grpcName bool) []string {
	var kinds []string
	if c := l.Carries; c != nil {
		if !grpcName && c.Agents.WSS == lockfile.Yes {
			kinds = append(kinds, "agents by WebSocket")
		}
		if (grpcName || l.Names.GRPC == nil) && c.Agents.GRPCS == lockfile.Yes {
			kinds = append(kinds, "agents by gRPC")
		}
	}
	host := l.Names.KAS
	if grpcName {
		host = *l.Names.GRPC
	}
	if host.PathPrefix != "" {
		kinds = append(kinds, "kubectl, Helm, CI jobs below "+host.PathPrefix)
		if c := l.Carries; c != nil {
			kinds = append(kinds, "exec: WebSocket "+verdict(c.Kubectl.WebSocket)+", SPDY "+verdict(c.Kubectl.SPDY))
		}
	}
	return kinds
}

func verdict(a lockfile.Answer) string {
	switch a {
	case lockfile.Yes:
		return "passes"
	case lockfile.Refused:
		return "is refused"
	case lockfile.No:
		return "does not arrive"
	default:
		return string(a)
	}
}

// ports are those of addresses.
func ports(addresses []string) string {
	var list []string
	for _, a := range addresses {
		if _, p, err := net.SplitHostPort(a); err == nil && !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return "port " + strings.Join(list, ", ")
}

// balancer is somebody else's.
func balancer(h lockfile.Host) *Box {
	f := h.Front
	what := map[string]string{"external-tcp": "TCP balancer", "external-http": "HTTP balancer", "external-http2": "HTTP/2 balancer"}[f.Kind]
	b := &Box{Title: "somebody's " + what, From: "outside the bundle"}
	inside := "TCP"
	switch f.Kind {
	case "external-http":
		inside = "HTTP/1.1"
	case "external-http2":
		inside = "HTTP/2"
	}
	security := ""
	switch f.TLS {
	case "passthrough":
		b.fact("TLS passes")
	case "terminate":
		alpn := ""
		if len(f.ALPN) > 0 {
			alpn = ", ALPN " + strings.Join(f.ALPN, ", ")
		}
		b.fact("ends TLS" + alpn)
		security = "cleartext"
	case "reencrypt":
		b.fact("ends TLS, and begins it again")
		security = "TLS"
	}
	header := ""
	if f.ProxyProtocol != "none" {
		header = "PROXY " + f.ProxyProtocol
	}
	b.Rows = []Row{{Match: "every connection", Carries: words(inside, security, header), addresses: h.Listeners}}
	return b
}

// onPort80 are the boxes that answer plain HTTP for a name.
func onPort80(h lockfile.Host, boxes []*Box) []*Box {
	var out []*Box
	for _, b := range boxes {
		if b.From != webFile || !slices.ContainsFunc(b.Rows, func(r Row) bool { return strings.Contains(" "+r.Name, " "+h.Name+",") }) {
			continue
		}
		for _, l := range b.listen {
			if strings.HasSuffix(l, ":80") && !slices.Contains(h.Listeners, l) && !slices.Contains(out, b) {
				out = append(out, b)
			}
		}
	}
	return out
}
