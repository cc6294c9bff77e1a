package lockfile

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

// Names are the host names of kas and what a client of each meets first.
type Names struct {
	KAS  Host  `json:"kas"`
	GRPC *Host `json:"grpc,omitempty"` // of agents by gRPC; nil: they use KAS
}

// Host is one host name.
type Host struct {
	Name       string   `json:"name"`
	Listeners  []string `json:"listeners"`            // of the bundle, host:port as in its file, that a client of Name reaches
	Front      *Front   `json:"front,omitempty"`      // nil: clients connect to Listeners themselves
	PathPrefix string   `json:"pathPrefix,omitempty"` // below which clients find the Kubernetes API; empty: not under this name
}

// Front is somebody else's balancer before a listener of the bundle.
type Front struct {
	Kind          string   `json:"kind"`           // external-tcp, external-http (HTTP/1.1 to its backend) or external-http2
	TLS           string   `json:"tls"`            // passthrough; terminate: the listener takes cleartext; reencrypt: it takes TLS again
	ALPN          []string `json:"alpn,omitempty"` // that an external-tcp which ends TLS must negotiate, in this order; empty: none
	ProxyProtocol string   `json:"proxyProtocol"`  // that the listener expects: none, v1 or v2
}

// Carries is what the topology promises of each kind of traffic.
type Carries struct {
	Agents  Agents  `json:"agents"`
	Kubectl Kubectl `json:"kubectl"`
}

// Agents are the ways of an agent to kas.
type Agents struct {
	WSS   Answer `json:"wss"`
	GRPCS Answer `json:"grpcs"`
}

// Kubectl are the protocols of exec, attach, cp and port-forward. Everything
// else of kubectl's passes in every topology.
type Kubectl struct {
	SPDY      Answer `json:"spdy"`
	WebSocket Answer `json:"websocket"`
}

// Answer is what becomes of a kind of traffic.
type Answer string

// The answers.
const (
	Yes     Answer = "yes"
	Refused Answer = "refused" // it arrives, and is told why it does not pass
	No      Answer = "no"      // something on the way does not let it arrive
)

// names checks what the manifest says of names and traffic.
func (c checker) names(f *File) {
	if f.Names != nil {
		c.host("names.kas", f.Names.KAS)
		if f.Names.GRPC != nil {
			c.host("names.grpc", *f.Names.GRPC)
		}
	}
	if f.Carries == nil {
		return
	}
	for _, a := range []struct {
		field  string
		answer Answer
	}{
		{"carries.agents.wss", f.Carries.Agents.WSS}, {"carries.agents.grpcs", f.Carries.Agents.GRPCS},
		{"carries.kubectl.spdy", f.Carries.Kubectl.SPDY}, {"carries.kubectl.websocket", f.Carries.Kubectl.WebSocket},
	} {
		oneOf(c, a.field, string(a.answer), string(Yes), string(Refused), string(No))
	}
}

func (c checker) host(at string, n Host) {
	if n.Name == "" {
		c.add(CodeEntry, at+".name", at+".name is not set", "clients connect by it")
	}
	if len(n.Listeners) == 0 {
		c.add(CodeEntry, at+".listeners", at+".listeners is empty", "a name that reaches no listener is of no use")
	}
	for i, l := range n.Listeners {
		if _, _, err := net.SplitHostPort(l); err != nil {
			field := fmt.Sprintf("%s.listeners[%d]", at, i)
			c.add(CodeEntry, field, fmt.Sprintf("%s is %q", field, l), "it must be host:port")
		}
	}
	if f := n.Front; f != nil {
		oneOf(c, at+".front.kind", f.Kind, "external-tcp", "external-http", "external-http2")
		oneOf(c, at+".front.tls", f.TLS, "passthrough", "terminate", "reencrypt")
		for i, protocol := range f.ALPN {
			oneOf(c, fmt.Sprintf("%s.front.alpn[%d]", at, i), protocol, "http/1.1", "h2")
		}
		oneOf(c, at+".front.proxyProtocol", f.ProxyProtocol, "none", "v1", "v2")
	}
	if n.PathPrefix != "" && !strings.HasPrefix(n.PathPrefix, "/") {
		c.add(CodeEntry, at+".pathPrefix", fmt.Sprintf("%s.pathPrefix is %q", at, n.PathPrefix), "it must be a path")
	}
}

func oneOf(c checker, field, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.add(CodeEntry, field, fmt.Sprintf("%s is %q", field, value), "it is one of "+strings.Join(allowed, ", "))
	}
}
