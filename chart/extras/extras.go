// Package extras owns what a topology needs beside a release of GitLab's chart:
// a small chart with the edge, the Service that the world reaches, and the
// routes and certificates of names that GitLab's chart has no object for. It
// knows no Helm. Its law: whatever differs between two topologies or providers
// is a value, so that what is installed can be read in one file.
package extras

import (
	"fmt"
	"io/fs"
	"strings"
	"time"

	"kasgen/generator"
	"kasgen/generator/spec"
	"kasgen/generator/target/edge"
	"kasgen/generator/topology"
	"kasgen/internal/commented"
	"kasgen/internal/diag"
	"kasgen/internal/lockfile"
	"kasgen/templates"
)

// ChartName is the chart's.
const ChartName = "kasgen-kas-edge"

// Routes say who takes HTTP.
type Routes string

// The routes. Those of a provider take every name; the others take what
// GitLab's chart does not.
const (
	Nginx      Routes = "nginx"       // Ingress of ingress-nginx
	Gateway    Routes = "gateway"     // Gateway API
	GKEIngress Routes = "gke-ingress" // Google's Ingress, certificates managed
	GKEGateway Routes = "gke-gateway" // Google's Gateway, certificates managed
	ALB        Routes = "alb"         // AWS Load Balancer Controller, certificates managed
)

// AllRoutes lists every kind.
func AllRoutes() []string {
	return []string{string(Nginx), string(Gateway), string(GKEIngress), string(GKEGateway), string(ALB)}
}

// Managed says whether a provider's balancer takes every name.
func (r Routes) Managed() bool { return r == GKEIngress || r == GKEGateway || r == ALB }

// Provider is whose TCP balancers a Service of type LoadBalancer gets.
type Provider string

// The providers.
const (
	Generic Provider = "generic"
	GKE     Provider = "gke"
	AWS     Provider = "aws"
	Azure   Provider = "azure"
	MetalLB Provider = "metallb"
)

// Providers lists every one.
func Providers() []string {
	return []string{string(Generic), string(GKE), string(AWS), string(Azure), string(MetalLB)}
}

// Options are what a kasgen.yaml does not say.
type Options struct {
	Release, Namespace  string // of GitLab's chart
	Provider            Provider
	Routes              Routes
	Image, Tag          string
	Issuer, IssuerKind  string // of cert-manager; empty: a Secret that is there
	Secret              string // of the certificate
	ARN, CertificateMap string // of a certificate that the provider keeps
	KASTLS              bool   // kas itself has TLS
	Passthrough         bool   // a Gateway's listener leads TLS to the edge, in place of a Service of type LoadBalancer
	GatewayName         string // of one that is there
	GatewayNamespace    string
	GatewaySection      string
	SourceRanges        []string
}

// Codes of what cannot be made.
const (
	CodeProxy   = "KAS6201" // the provider sends no PROXY header of that kind
	CodeTLS     = "KAS6202" // the provider's TCP balancer ends no TLS
	CodeIssuer  = "KAS6203" // nobody provides the certificate
	CodeBackend = "KAS6204" // the provider's balancer needs TLS at kas
	CodeNothing = "KAS6205" // GitLab's chart alone is the topology
	CodeGateway = "KAS6206" // a passthrough listener needs a Gateway
)

// port is where the edge listens: above 1024, for a user without rights.
const port = 8443

// drainSeconds bounds how long an edge's pod may take to end.
const forgetSeconds = 15

// Make is every file of the extras chart. Findings that fail come without files.
func Make(f generator.Facts, o Options) (map[string][]byte, diag.Findings, error) {
	findings := check(f, o)
	if findings.Failed() {
		return nil, findings, nil
	}
	files := map[string][]byte{}
	root, err := fs.Sub(templates.FS, "chart")
	if err != nil {
		return nil, nil, err
	}
	err = fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path], err = fs.ReadFile(root, path)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if f.Topology.Edge != nil {
		if err := edgeFiles(f, o, files); err != nil {
			return nil, nil, err
		}
	}
	files["values.yaml"], err = values(f, o)
	return files, findings, err
}

// edgeFiles are those that the edge's pods read.
func edgeFiles(f generator.Facts, o Options, files map[string][]byte) error {
	t := f.Topology
	e := *t.Edge
	e.Listen = fmt.Sprintf("0.0.0.0:%d", port)
	e.Upstreams = nil
	for _, u := range t.Edge.Upstreams {
		to := 8150
		if u.Address == t.KAS.Listen.KubernetesAPI {
			to = 8154
		}
		e.Upstreams = append(e.Upstreams, topology.Upstream{Name: u.Name, Address: fmt.Sprintf("%s-kas.%s.svc:%d", o.Release, o.Namespace, to)})
	}
	t.Edge = &e
	rendered, err := edge.Render(t)
	if err != nil {
		return err
	}
	lock := lockfile.File{APIVersion: lockfile.APIVersion, Kind: lockfile.Kind, Kasgen: "chart", Topology: t.Name, SpecDigest: t.SpecDigest, StateDir: t.StateDir, Development: []lockfile.Development{}}
	add := func(name, path string, data []byte) {
		files["files/"+name] = data
		lock.Files = append(lock.Files, lockfile.Entry{Path: path, Mode: 0o644, SHA256: lockfile.Digest(data)})
	}
	add("edge.yaml", edge.Path, rendered[0].Data)
	for _, file := range f.Files {
		if file.Path == "certs/certs.yaml" {
			add("certs.yaml", file.Path, file.Data)
		}
	}
	files["files/kasgen.lock.yaml"] = lockfile.Write(&lock)
	return nil
}

// source is who provides certificates.
func source(f generator.Facts, o Options) string {
	switch {
	case f.Spec.TLS.Source == spec.TLSACME:
		return "acme"
	case o.Issuer != "":
		return "cert-manager"
	case o.ARN != "" || o.CertificateMap != "" || o.Routes == GKEIngress && f.Topology.Edge == nil:
		return "provider"
	default:
		return "secret"
	}
}

// values is the chart's values.yaml.
func values(f generator.Facts, o Options) ([]byte, error) {
	t := f.Topology
	var fields []commented.Field
	set := func(why string, value any, path ...string) {
		fields = append(fields, commented.Field{Path: path, Value: value, Why: why})
	}
	grpc := ""
	if t.Names.GRPC != nil {
		grpc = t.Names.GRPC.Name
	}
	set("Of GitLab's chart, in the same namespace.", o.Release, "gitlab", "release")
	set("Whether kas itself has TLS.", o.KASTLS, "gitlab", "kasTLS")
	set("", t.Names.KAS.Name, "names", "kas")
	set("Of agents by gRPC; empty: the same.", grpc, "names", "grpc")
	set("Of the Kubernetes API.", t.Names.KAS.PathPrefix, "pathPrefix")
	set("Silence after which a stream is cut.", int(time.Duration(f.Spec.Timeouts.Idle).Seconds()), "idleSeconds")
	set("After which Google cuts any stream; kas ends its own after 2 h.", 86400, "streamSeconds")
	set("Whose TCP balancer the Service gets: generic, gke, aws, azure or metallb.", string(o.Provider), "provider")
	edgeValues(f, o, set)
	serviceValues(f, o, set)
	set("Who takes HTTP: nginx, gateway, gke-ingress, gke-gateway or alb.", string(o.Routes), "routes", "kind")
	set("Whether kas's own name is taken here too, in place of GitLab's chart.", o.Routes.Managed() && t.Edge == nil, "routes", "kas")
	set("GitLab sends CI jobs to the name that it advertises.", grpc != "" && t.Carries.Agents.WSS != lockfile.Yes, "routes", "kubernetesAPIOnGRPCName")
	set("Empty: the one of the bundled controller, or alb.", "", "routes", "ingressClassName")
	set("A listener with mode Passthrough leads to the edge.", o.Passthrough, "gateway", "passthrough")
	set("Of a Gateway that is made here; empty: the usual one.", "", "gateway", "className")
	set("Of a Gateway that is there; empty: one is made.", o.GatewayName, "gateway", "name")
	set("", o.GatewayNamespace, "gateway", "namespace")
	set("", o.GatewaySection, "gateway", "sectionName")
	set("secret: one that is there; cert-manager; acme: kasgen's own, kept in the Secret; provider.", source(f, o), "certificate", "source")
	set("With tls.crt and tls.key, for every name.", secret(f, o), "certificate", "secretName")
	kind := o.IssuerKind
	if kind == "" {
		kind = "ClusterIssuer"
	}
	set("Of cert-manager.", map[string]any{"name": o.Issuer, "kind": kind}, "certificate", "issuer")
	set("In AWS Certificate Manager.", o.ARN, "certificate", "arn")
	set("In Google's Certificate Manager.", o.CertificateMap, "certificate", "map")
	set("Pods of the edge reach kas and DNS alone.", true, "networkPolicy", "enabled")
	text, err := commented.Write(fields)
	head := fmt.Sprintf("# What topology %s needs beside release %s of GitLab's chart, written by kasgen. Change kasgen.yaml and generate again.\n", t.Name, o.Release)
	return append([]byte(head), text...), err
}

type setter func(why string, value any, path ...string)

func edgeValues(f generator.Facts, o Options, set setter) {
	t := f.Topology
	set("The listener that looks at the first bytes.", t.Edge != nil, "edge", "enabled")
	set("Whether TLS ends at the edge.", t.Edge != nil && t.Edge.TLS != nil, "edge", "tls")
	set("`make image` builds it.", map[string]any{"repository": o.Image, "tag": o.Tag, "pullPolicy": "IfNotPresent"}, "edge", "image")
	set("As in edge.yaml.", port, "edge", "port")
	set("Readiness and metrics of certificates, where kasgen obtains them.", portOf(f.Spec.TLS.ACME.Observability), "edge", "certificatesPort")
	set("", 2, "edge", "replicas")
	set("", map[string]any{"enabled": true, "maxReplicas": 10, "cpu": "500m"}, "edge", "autoscaling")
	set("Until the balancer sends a pod that ends nothing new.", forgetSeconds, "edge", "forgetSeconds")
	set("How long streams live on then, as in edge.yaml.", int(t.Timeouts.Drain.Seconds()), "edge", "drainSeconds")
	set("No limit of CPU: it would throttle streams.", map[string]any{"requests": map[string]any{"cpu": "100m", "memory": "64Mi"}, "limits": map[string]any{"memory": "512Mi"}}, "edge", "resources")
}

func serviceValues(f generator.Facts, o Options, set setter) {
	kind, tls, header := "LoadBalancer", "passthrough", "none"
	if e := f.Topology.Edge; e != nil {
		if e.TLS == nil {
			tls = "terminate"
		}
		header = string(e.ProxyHeader)
	}
	if o.Passthrough {
		kind = "ClusterIP"
	}
	set("", kind, "service", "type")
	set("Who ends TLS: passthrough: the edge; terminate: the balancer.", tls, "service", "tls")
	set("What the edge gets before anything else, as in edge.yaml.", header, "service", "proxyProtocol")
	set("Local: clients' addresses stay.", "Local", "service", "externalTrafficPolicy")
	ranges := o.SourceRanges
	if ranges == nil {
		ranges = []string{}
	}
	set("Networks that may connect; empty: all.", ranges, "service", "loadBalancerSourceRanges")
	set("", "", "service", "loadBalancerClass")
	set("", "", "service", "loadBalancerIP")
	set("Of MetalLB.", "", "service", "addressPool")
	set("", map[string]any{}, "service", "annotations")
}

// secret is the name of the certificate's Secret.
func secret(f generator.Facts, o Options) string {
	if s := f.Spec.TLS.ACME.Cache.Secret; f.Spec.TLS.Source == spec.TLSACME && s != nil {
		return s.Name
	}
	if o.Secret != "" {
		return o.Secret
	}
	return o.Release + "-kas-edge-tls"
}

func portOf(address string) int {
	n := 8156
	if i := strings.LastIndexByte(address, ':'); i >= 0 {
		if _, err := fmt.Sscanf(address[i+1:], "%d", &n); err != nil {
			return 8156
		}
	}
	return n
}
