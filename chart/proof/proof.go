// Package proof owns the question whether Kubernetes objects are a topology:
// which name and path reaches which port of kas, by which protocol, within which
// limits. It knows no template and no cluster; what it says follows from the
// objects alone. Its law: a way that it does not understand counts as none, and
// it says so.
package proof

import (
	"fmt"
	"slices"
	"time"

	"kasgen/chart/manifest"
	"kasgen/internal/diag"
	"kasgen/internal/edgeconf"
)

// Codes of what is wrong with a release.
const (
	CodeNoKAS     = "KAS6111" // the objects have no kas
	CodeNoWay     = "KAS6112" // a name or path that nothing serves
	CodePort      = "KAS6113" // a path that leads to another port
	CodeProtocol  = "KAS6114" // a protocol that does not pass
	CodeTimeLimit = "KAS6115" // a time limit cuts streams
	CodeBody      = "KAS6116" // a limit of bodies cuts streams
	CodeExposed   = "KAS6117" // a port that is nobody's business
	CodeSecret    = "KAS6118" // TLS without a certificate
	CodeRails     = "KAS6119" // what GitLab advertises is not served
	CodeConfig    = "KAS6120" // kas is configured otherwise
	CodeListener  = "KAS6121" // a port is open and nothing listens
	CodeOutside   = "KAS6122" // a name that objects beside the release serve
	CodeBothWays  = "KAS6123" // two ways for one name
	CodeOthers    = "KAS6124" // something that is not kas's has changed
)

// Want is what a topology asks of the objects.
type Want struct {
	Release, Namespace string
	Topology           string
	Host               string // kas's name
	GRPCHost           string // of agents by gRPC; empty: Host
	Prefix             string // of the Kubernetes API
	WSS, GRPC          bool   // by which agents come
	SPDY               bool   // upgrades other than to WebSocket pass
	Edge               bool   // Host's connections are the edge's
	Managed            bool   // a provider's balancers take every name, by objects beside the release
	Idle               time.Duration
	Provider           string // of Ingress
	Extras             bool   // the objects include those beside the release
}

// outside says whether a name is served by objects beside the release.
func (w Want) outside(host string) bool {
	return w.Managed || w.Edge && host == w.Host || w.GRPCHost != "" && host == w.GRPCHost
}

// Way is how a name and path gets to a port of a pod.
type Way struct {
	Host     string // empty: any
	Path     string // prefix, or the expression that it must match; empty: every byte
	Regexp   bool
	To       Part
	Port     int // of the pod
	HTTP2    bool
	Upgrades bool // HTTP/1.1 passes, and with it upgrades
	Raw      bool // bytes as they are; TLS ends behind it unless Ended
	Ended    bool // TLS of Raw ends before
	Limits   []Limit
	Silence  time.Duration // after which the way is cut; 0: never, or unknown
	Body     string        // the longest one, as nginx writes it; empty: any
	Secret   string        // of the certificate; empty: TLS does not end here
	Via      *manifest.Object
}

// Part is whose pods.
type Part string

// The parts.
const (
	KAS  Part = "kas"
	Edge Part = "edge"
)

// Limit is one of a way.
type Limit struct {
	What  string // a field or an annotation
	Code  string
	Faint bool   // it cuts what it should not, but late
	Text  string // as it stands there, or that it does not
	Field string // the value that it comes from
}

// Result is what was found.
type Result struct {
	Ways     []Way
	Findings diag.Findings
	KAS      string         // kas's file, as its ConfigMap has it
	EdgeText string         // the edge's, or empty
	EdgeFile *edgeconf.File // the same, read
}

// proving is one proof under way.
type proving struct {
	Want
	objects []*manifest.Object
	kas     *server
	edge    *edge
	Result
}

// Prove holds objects to a topology.
func Prove(w Want, objects []*manifest.Object) Result {
	p := &proving{Want: w, objects: objects}
	if !p.findKAS() {
		return p.Result
	}
	p.KAS = p.kas.text
	if p.findEdge(); p.edge != nil {
		p.EdgeText, p.EdgeFile = p.edge.text, p.edge.file
	}
	p.services()
	p.ingresses()
	p.gateways()
	p.tcpServices()
	p.names()
	p.rails()
	p.config()
	slices.SortStableFunc(p.Ways, func(a, b Way) int {
		return slices.Compare([]string{a.Host, a.Path, a.Via.Title()}, []string{b.Host, b.Path, b.Via.Title()})
	})
	return p.Result
}

func (p *proving) add(severity diag.Severity, code string, o *manifest.Object, field, what, why, fix string) {
	f := diag.Finding{Code: code, Severity: severity, Field: field, What: what, Why: why, Fix: fix}
	if o != nil {
		f.Pos = o.Pos
		f.What = fmt.Sprintf("%s: %s", o.Title(), what)
	}
	if !slices.ContainsFunc(p.Findings, func(g diag.Finding) bool { return g == f }) {
		p.Findings.Add(f)
	}
}

// typed are the objects of a Go type, with their objects.
func typed[T any](list []*manifest.Object, visit func(*manifest.Object, T)) {
	for _, o := range list {
		if t, ok := o.Typed.(T); ok {
			visit(o, t)
		}
	}
}
