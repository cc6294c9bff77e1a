package values

import (
	"fmt"
	"net"

	"kasgen/generator/spec"
	"kasgen/internal/diag"
)

// prefix is where GitLab looks for the Kubernetes API.
const prefix = "/k8s-proxy"

// Codes of what the chart cannot follow.
const (
	CodeGRPC    = "KAS6001" // gRPC has no way through this version's Ingress
	CodePort    = "KAS6002" // a listener of kas is not at the chart's port
	CodeKind    = "KAS6003" // kas is somebody else's
	CodeStrip   = "KAS6004" // the prefix is taken off before kas
	CodePrefix  = "KAS6005" // a prefix that GitLab does not look for
	CodeExtras  = "KAS6006" // the topology needs objects that the chart has not
	CodeKASTLS  = "KAS6007" // an edge speaks cleartext to kas
	CodeGateway = "KAS6008" // this version's route has no time limits
	CodeKey     = "KAS6009" // this version has no key for what is needed
)

func (m *making) finding(severity diag.Severity, code, field, what, why, fix string) {
	m.findings.Add(diag.Finding{Code: code, Severity: severity, Pos: m.At(field), Field: field, What: what, Why: why, Fix: fix})
}

// refuse finds what no value can say.
func (m *making) refuse() {
	k := m.Spec.KAS
	if k.Kind == spec.KASEmbedded {
		m.finding(diag.Error, CodeKind, "kas.kind", "kas.kind is embedded", "the chart runs GitLab's own kas", "leave kas.kind out, or write external")
	}
	if k.StripPrefix {
		m.finding(diag.Error, CodeStrip, "kas.stripPrefix", "kas.stripPrefix is true", "the chart tells kas its prefix, so that a path without it is answered with 404", "leave it out")
	}
	for _, l := range []struct{ field, address, port string }{
		{"kas.listen.agent", k.Listen.Agent, "8150"},
		{"kas.listen.kubernetesAPI", k.Listen.KubernetesAPI, "8154"},
	} {
		if _, port, err := net.SplitHostPort(l.address); err == nil && port != l.port {
			m.finding(diag.Error, CodePort, l.field, fmt.Sprintf("%s is %s", l.field, l.address),
				"the release's Service has kas at port "+l.port, "leave it out")
		}
	}
	if t := m.Topology; t.Edge != nil || t.Names.GRPC != nil || m.Managed {
		m.finding(diag.Warning, CodeExtras, "topology", "values alone are not topology "+t.Name,
			"the chart has no object for a TCP balancer, an edge or a second name", "install what `kasgen chart extras` writes beside the release")
	}
	if m.KASTLSSecret != "" && m.Topology.Edge != nil {
		m.finding(diag.Error, CodeKASTLS, "topology", "kas would have TLS, and the edge speaks cleartext to it", "both are in one cluster", "leave --kas-tls-secret out")
	}
	if k.PathPrefix != prefix {
		m.finding(diag.Error, CodePrefix, "kas.pathPrefix", "kas.pathPrefix is "+k.PathPrefix,
			"GitLab sends CI jobs to "+prefix+" behind the address that it advertises, and the chart has no key for another one", "leave it out")
	}
}
