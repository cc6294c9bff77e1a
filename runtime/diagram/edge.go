package diagram

import (
	"strings"

	"kasgen/internal/edgeconf"
	"kasgen/internal/kasconf"
)

func edgeBoxes(f *edgeconf.File) []*Box {
	upstreams := map[string]edgeconf.Upstream{}
	for _, u := range f.Upstreams {
		upstreams[u.Name] = u
	}
	var boxes []*Box
	for _, l := range f.Listeners {
		b := &Box{Title: "edge: " + l.Name, From: edgeFile, listen: []string{l.Address}}
		b.fact("listens on " + l.Address)
		if l.ProxyProtocol != edgeconf.ProxyNone {
			b.fact("takes a PROXY header, " + string(l.ProxyProtocol))
		}
		if l.TLS != nil {
			b.fact("ends TLS, ALPN " + strings.Join(l.TLS.ALPN, ", "))
		} else {
			b.fact("cleartext: TLS has ended before")
		}
		if len(l.ServerNames) > 0 {
			b.fact("SNI " + strings.Join(l.ServerNames, ", "))
		}
		to := func(name, carries string) Row {
			u := upstreams[name]
			if u.TLS != nil {
				carries += ", TLS"
			}
			return Row{Carries: carries, addresses: []string{u.Address}}
		}
		grpc := Row{Answer: "closed"}
		if l.Routes.GRPC != "" {
			grpc = to(l.Routes.GRPC, "gRPC, HTTP/2")
		}
		grpc.Match = "HTTP/2 preface"
		b.Rows = append(b.Rows, grpc)
		for _, p := range l.Routes.Paths {
			carries := "HTTP/1.1"
			switch {
			case p.UpgradeOnly:
				carries += ", only upgrades: " + strings.Join(p.Upgrades, ", ")
			case len(p.Upgrades) > 0:
				carries += ", upgrades: " + strings.Join(p.Upgrades, ", ")
			}
			r := to(p.Upstream, carries)
			r.Match = p.Prefix
			b.Rows = append(b.Rows, r)
		}
		boxes = append(boxes, b)
	}
	return boxes
}

func kasBoxes(f *kasconf.File) []*Box {
	secure := func(certificate string) string {
		if certificate != "" {
			return "ends TLS"
		}
		return "cleartext"
	}
	var boxes []*Box
	if f.Agent != nil && f.Agent.Listen != nil {
		l := f.Agent.Listen
		speaks := "gRPC"
		if l.Websocket {
			speaks += ", WebSocket"
		}
		b := &Box{Title: "kas: agents", From: kasFile, listen: []string{l.Address},
			Facts: []string{"listens on " + l.Address, words(speaks, secure(l.CertificateFile)), "agents hold tunnels open here"}}
		boxes = append(boxes, b)
	}
	if f.Agent != nil && f.Agent.KubernetesAPI != nil && f.Agent.KubernetesAPI.Listen != nil {
		k := f.Agent.KubernetesAPI
		boxes = append(boxes, &Box{Title: "kas: Kubernetes API", From: kasFile, listen: []string{k.Listen.Address},
			Facts: []string{"listens on " + k.Listen.Address, words("HTTP/1.1", secure(k.Listen.CertificateFile)),
				"below " + k.URLPathPrefix, "through an agent's tunnel to its cluster"}})
	}
	more := &Box{Title: "kas: the rest", From: kasFile}
	if f.API != nil && f.API.Listen != nil {
		more.fact(f.API.Listen.Address + ": GitLab's Rails")
		more.listen = append(more.listen, f.API.Listen.Address)
	}
	if f.PrivateAPI != nil && f.PrivateAPI.Listen != nil {
		more.fact(f.PrivateAPI.Listen.Address + ": other kas nodes")
		more.listen = append(more.listen, f.PrivateAPI.Listen.Address)
	}
	if f.Observability != nil && f.Observability.Listen != nil {
		more.fact(f.Observability.Listen.Address + ": observability")
		more.listen = append(more.listen, f.Observability.Listen.Address)
	}
	if f.Gitlab != nil {
		more.fact("asks " + f.Gitlab.Address)
	}
	if f.Redis != nil {
		more.fact("keeps tunnels in Redis")
	}
	return append(boxes, more)
}
