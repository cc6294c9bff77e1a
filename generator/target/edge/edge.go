// Package edge owns edge.yaml, the listener that looks at the first bytes. It
// knows no spec. Its law: edgeconf reads what it writes.
package edge

import (
	"fmt"
	"slices"

	"kasgen/generator/bundle"
	"kasgen/generator/target"
	"kasgen/generator/topology"
	"kasgen/internal/edgeconf"
)

// Path is the file's name in a bundle.
const Path = "edge/edge.yaml"

// maxHeaderBytes bounds a request head: Kubernetes tokens and kubectl's
// impersonation headers are some KiB; Go's own default is 1 MiB, which a
// thousand slow clients turn into a GiB.
const maxHeaderBytes = 64 << 10

// Render writes the edge, if the topology has one.
func Render(t topology.Topology) ([]bundle.File, error) {
	if t.Edge == nil {
		return nil, nil
	}
	l := edgeconf.Listener{
		Name:          "kas",
		Address:       t.Edge.Listen,
		ProxyProtocol: edgeconf.ProxyProtocol(t.Edge.ProxyHeader),
		ServerNames:   slices.Clone(t.Edge.ServerNames),
		Limits: edgeconf.Limits{
			Handshake: edgeconf.Duration(t.Timeouts.Handshake), Sniff: edgeconf.Duration(t.Timeouts.Sniff),
			Header: edgeconf.Duration(t.Timeouts.Header), MaxHeaderBytes: maxHeaderBytes,
			Idle: edgeconf.Duration(t.Timeouts.Keepalive),
		},
		Routes: edgeconf.Routes{GRPC: t.Edge.GRPC},
	}
	const listener = "listeners[0]"
	notes := map[string]string{
		listener + ".proxyProtocol": "The client's address, from the balancer; a connection without it is refused.",
		listener + ".serverNames":   "Any other name in SNI is refused.",
		listener + ".limits": "What a client may hold before it is understood. Nothing here cuts gRPC or an\n" +
			"upgraded stream.",
		listener + ".routes.grpc": "Connections that open with the HTTP/2 preface, whatever ALPN said.",
		"drain":                   "How long streams live on after SIGTERM.",
	}
	if t.Edge.ProxyHeader == topology.NoHeader {
		notes[listener+".proxyProtocol"] = "Clients' addresses are those of the connections."
	}
	if tls := t.Edge.TLS; tls != nil {
		l.TLS = &edgeconf.TLS{CertificateFile: tls.CertificateFile, KeyFile: tls.KeyFile, MinVersion: tls.MinVersion, ALPN: slices.Clone(tls.ALPN)}
		notes[listener+".tls.alpn"] = "kubectl offers both and must get HTTP/1.1, in which it can upgrade; agents\noffer h2 alone."
		if c := tls.Tickets; c != nil {
			l.TLS.SessionTickets = &edgeconf.SessionTickets{KeyFile: c.KeyFile, Rotate: edgeconf.Duration(c.Rotate)}
			notes[listener+".tls.sessionTickets"] = "The same file on every node lets clients resume sessions with any of them."
		}
		if c := tls.Clients; c != nil {
			l.TLS.ClientCA = &edgeconf.ClientCA{File: c.CAFile, Required: c.Required}
		}
		if !slices.Contains(tls.ALPN, "h2") {
			notes[listener+".tls.alpn"] = "kubectl upgrades in HTTP/1.1; gRPC has a name and a balancer of its own."
		}
	} else {
		notes[listener+".serverNames"] = "Any other name in Host is refused. TLS ends before the edge."
	}
	for i, p := range t.Edge.Paths {
		l.Routes.Paths = append(l.Routes.Paths, edgeconf.Path{Prefix: p.Prefix, Upstream: p.Upstream, Upgrades: slices.Clone(p.Upgrades), UpgradeOnly: p.UpgradeOnly, Strip: p.Strip})
		notes[fmt.Sprintf("%s.routes.paths[%d].prefix", listener, i)] = p.Why
	}
	f := &edgeconf.File{APIVersion: edgeconf.APIVersion, Kind: edgeconf.Kind, Listeners: []edgeconf.Listener{l}, Drain: edgeconf.Duration(t.Timeouts.Drain)}
	for _, u := range t.Edge.Upstreams {
		f.Upstreams = append(f.Upstreams, edgeconf.Upstream{Name: u.Name, Address: u.Address, Connect: edgeconf.Duration(t.Timeouts.Connect)})
	}
	data := edgeconf.Write(f, target.Header(t, "The edge"), notes)
	if _, err := edgeconf.Read(Path, data); err != nil {
		return nil, fmt.Errorf("edge: the topology cannot be written: %w", err)
	}
	return []bundle.File{{Path: Path, Data: data}}, nil
}
