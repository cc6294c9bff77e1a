// Package values owns what GitLab's Helm chart is told of a topology: which of
// its keys, with which value and why. It renders no manifest and knows no
// Omnibus. Its law: a key that the version of the chart does not have is never
// written, and what the chart advertises is what serves.
package values

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"kasgen/chart/inventory"
	"kasgen/generator"
	"kasgen/internal/commented"
	"kasgen/internal/diag"
	"kasgen/internal/lockfile"
)

// Annotations of ingress-nginx, whose defaults cut streams after a minute and
// bodies at a megabyte.
const (
	readTimeout = "nginx.ingress.kubernetes.io/proxy-read-timeout"
	sendTimeout = "nginx.ingress.kubernetes.io/proxy-send-timeout"
	bodySize    = "nginx.ingress.kubernetes.io/proxy-body-size"
)

// setting is one key of the chart.
type setting struct {
	path  []string
	value any
	why   string
}

// Options are what a kasgen.yaml does not say of a release.
type Options struct {
	Managed      bool   // a provider's balancers take every name, by objects beside the release
	Gateway      bool   // the chart's way in is Gateway API whatever its version
	Ingress      bool   // the chart's way in is Ingress whatever its version
	KASTLSSecret string // kas itself has TLS, with this Secret; empty: it has none
}

// making is one file of values under way.
type making struct {
	generator.Facts
	Options
	keys     inventory.Keys
	list     []setting
	findings diag.Findings
}

// Make is the chart's values for a topology. Errors among the findings are
// faults of the spec for this version of the chart; then there are no values.
func Make(f generator.Facts, keys inventory.Keys, o Options) ([]byte, diag.Findings, error) {
	m := &making{Facts: f, keys: keys, Options: o}
	m.refuse()
	if m.findings.Failed() {
		return nil, m.findings, nil
	}
	m.names()
	switch {
	case f.Topology.Edge != nil:
		m.outside("The edge has the name: an Ingress for it would pass neither gRPC nor SPDY.")
	case o.Managed:
		m.outside("A balancer of the provider's has the name, beside the release.")
	default:
		m.routes()
	}
	m.kas()
	if m.findings.Failed() {
		return nil, m.findings, nil
	}
	text, err := m.write()
	return text, m.findings, err
}

func (m *making) set(why string, value any, path ...string) {
	m.list = append(m.list, setting{path, value, why})
}

// gateway says whether the chart's own way in is Gateway API.
func (m *making) gateway() bool { return !m.Ingress && (m.Gateway || m.keys.Version.Major >= 10) }

func (m *making) names() {
	t := m.Topology
	m.set("kas runs in the release.", true, "global", "kas", "enabled")
	m.set("Its name.", t.Names.KAS.Name, "global", "hosts", "kas", "name")
	agents, why := "wss://"+t.Names.KAS.Name, "Agents are told this address; the one for CI jobs follows from it, https and /k8s-proxy behind it."
	if t.Carries.Agents.WSS != lockfile.Yes {
		agents = "grpcs://" + t.Names.KAS.Name
		if t.Names.GRPC != nil {
			agents = "grpcs://" + t.Names.GRPC.Name
			why += "\nSo this name has to take " + t.Names.KAS.PathPrefix + " as well, which the extras' route for it does."
		}
	} else if t.Names.GRPC != nil {
		why += "\nAgents by gRPC are given grpcs://" + t.Names.GRPC.Name + " as their kasAddress: as the chart's URL it would lead CI jobs to a name without the Kubernetes API."
	}
	m.set(why, agents, "global", "appConfig", "gitlab_kas", "externalUrl")
}

// outside is for a name that objects beside the release serve.
func (m *making) outside(why string) {
	m.set(why, false, "gitlab", "kas", "ingress", "enabled")
	if _, ok := m.keys.Find("gitlab.kas.gatewayRoute.enabled"); ok {
		m.set("Nor is there a route for it.", false, "gitlab", "kas", "gatewayRoute", "enabled")
	}
	m.set("A load balancer at kas's own Service would show its metrics, its internal API and its private one to the world.", "ClusterIP", "gitlab", "kas", "service", "type")
}

// routes is for a name that the chart's own Ingress or Gateway takes.
func (m *making) routes() {
	idle := strconv.Itoa(int(time.Duration(m.Spec.Timeouts.Idle).Seconds()))
	if m.gateway() {
		m.gatewayRoute()
	} else {
		if _, ok := m.keys.Find("global.gatewayApi.enabled"); ok && m.Ingress {
			m.set("Ingress has the name, and there is no route for it.", true, "gitlab", "kas", "ingress", "enabled")
			m.set("", false, "gitlab", "kas", "gatewayRoute", "enabled")
		}
		m.set("exec, attach, port-forward, watch and logs -f may be silent; after 60 s they would be cut.", idle, "gitlab", "kas", "ingress", "annotations", readTimeout)
		m.set("So may the other direction.", idle, "gitlab", "kas", "ingress", "annotations", sendTimeout)
		m.set("kubectl sends more than 1 MiB at once, and a gRPC stream has no end.", "0", "gitlab", "kas", "ingress", "annotations", bodySize)
	}
	m.grpcOnTheName()
}

// gatewayRoute is for a name that the chart's own Gateway takes.
func (m *making) gatewayRoute() {
	const timeouts = "gitlab.kas.gatewayRoute.timeouts"
	if m.keys.Version.Major < 10 {
		m.set("Gateway API has the name.", true, "global", "gatewayApi", "enabled")
		m.set("So Ingress has not.", false, "gitlab", "kas", "ingress", "enabled")
	}
	if _, ok := m.keys.Find(timeouts); ok {
		m.set("An upgraded stream is one request, however long it lasts.", "0s", "gitlab", "kas", "gatewayRoute", "timeouts", "request")
	} else {
		m.finding(diag.Warning, CodeGateway, "timeouts.idle", fmt.Sprintf("chart %s has no key for time limits of its route", m.keys.Version),
			"the gateway's own limit cuts streams", "set it by a policy of the gateway's, or use chart 10")
	}
}

// grpcOnTheName says whether the chart's own Ingress takes gRPC on kas's name.
func (m *making) grpcOnTheName() {
	on := m.Topology.Names.GRPC == nil
	why := "gRPC on the same name, by the path of its methods."
	if !on {
		why = "gRPC has a name of its own."
	}
	if _, ok := m.keys.Find("global.kas.ingress.grpc.enabled"); ok {
		m.set(why+"\nThe chart advertises by the global key, so that one is set.", on, "global", "kas", "ingress", "grpc", "enabled")
		return
	}
	if _, ok := m.keys.Find("gitlab.kas.ingress.grpc.enabled"); ok {
		m.set(why, on, "gitlab", "kas", "ingress", "grpc", "enabled")
		return
	}
	if on {
		severity := diag.Warning
		if !m.Topology.KAS.Websocket {
			severity = diag.Error // nobody could connect
		}
		m.finding(severity, CodeGRPC, "topology", fmt.Sprintf("chart %s passes no gRPC on kas's name", m.keys.Version),
			"its Ingress has no route for gRPC before chart 9.7", "use chart 9.9, or topology A, B or D")
	}
}

// kas is the server's own configuration.
func (m *making) kas() {
	t := m.Topology
	if m.KASTLSSecret != "" {
		m.set("TLS on all of kas's listeners.", true, "global", "kas", "tls", "enabled")
		m.set("Its certificate is for <release>-kas.<namespace>.svc.", m.KASTLSSecret, "global", "kas", "tls", "secretName")
		m.set("Who signed it; ca.crt in the same Secret, where it is not a public CA.", m.KASTLSSecret, "global", "kas", "tls", "caSecretName")
	}
	if !t.KAS.Websocket {
		m.set("Agents by gRPC only.", false, "gitlab", "kas", "customConfig", "agent", "listen", "websocket")
	}
	if drain := int(t.Timeouts.Drain / time.Second); drain > 300 {
		m.set("Streams live on this long when a pod is told to go.", drain, "gitlab", "kas", "deployment", "terminationGracePeriodSeconds")
	}
}

// title is how a file of values begins that was generated.
const title = "# Values for GitLab's chart "

// Generated says whether a file of values was written by Make.
func Generated(data []byte) bool {
	line, _, _ := bytes.Cut(data, []byte("\n"))
	return bytes.HasPrefix(line, []byte(title)) && bytes.Contains(line, []byte("written by kasgen"))
}

// write checks each key against the inventory, and writes all of them.
func (m *making) write() ([]byte, error) {
	var fields []commented.Field
	for _, s := range m.list {
		path := strings.Join(s.path, ".")
		key, ok := m.keys.Find(path)
		if !ok {
			m.finding(diag.Error, CodeKey, "topology", fmt.Sprintf("chart %s has no key %s, for: %s", m.keys.Version, path, s.why),
				"Helm would take it in silence, and nothing would come of it", "use a version of the chart that has it, or other --routes")
			continue
		}
		why := s.why
		if key.Unverified {
			why += "\n(not seen in a manifest of this chart)"
		}
		fields = append(fields, commented.Field{Path: s.path, Value: s.value, Why: why})
	}
	text, err := commented.Write(fields)
	if err != nil || m.findings.Failed() {
		return nil, err
	}
	head := fmt.Sprintf(title+"%s, topology %s, written by kasgen. Change kasgen.yaml and generate again.\n", m.keys.Version, m.Topology.Name)
	if !m.keys.Version.Verified() {
		head += "# What is known of this version was read and not seen at work: let `kasgen chart verify` look at your chart.\n"
	}
	return append([]byte(head), text...), nil
}
