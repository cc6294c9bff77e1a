package extras

import (
	"fmt"

	"kasgen/generator"
	"kasgen/generator/spec"
	"kasgen/generator/topology"
	"kasgen/internal/diag"
)

// check finds what a provider cannot do.
func check(f generator.Facts, o Options) diag.Findings {
	var findings diag.Findings
	add := func(severity diag.Severity, code, field, what, why, fix string) {
		findings.Add(diag.Finding{Code: code, Severity: severity, Pos: f.At(field), Field: field, What: what, Why: why, Fix: fix})
	}
	t := f.Topology
	if t.Edge == nil && t.Names.GRPC == nil && !o.Routes.Managed() {
		add(diag.Error, CodeNothing, "topology", "topology "+t.Name+" needs nothing beside GitLab's chart", "it has neither an edge nor a second name", "use the values alone")
		return findings
	}
	if e := t.Edge; e != nil {
		header := e.ProxyHeader
		switch {
		case o.Provider == AWS && header == topology.HeaderV1,
			o.Provider != AWS && o.Provider != Generic && header != topology.NoHeader,
			o.Passthrough && header != topology.NoHeader:
			add(diag.Error, CodeProxy, "loadBalancer.proxyProtocol", fmt.Sprintf("%s sends no PROXY header %s", o.Provider, header),
				"the edge would wait for it, and refuse every connection", "write none; with externalTrafficPolicy: Local clients' addresses stay (AWS: v2)")
		}
		if e.TLS == nil && (o.Provider != AWS || o.Passthrough) {
			add(diag.Error, CodeTLS, "loadBalancer.tls", fmt.Sprintf("the TCP balancer of %s ends no TLS", o.Provider),
				"bytes would reach the edge as they came, and it expects cleartext", "write loadBalancer.tls: passthrough, or use AWS with a certificate's ARN")
		}
		if e.TLS == nil && o.Provider == AWS && o.ARN == "" {
			add(diag.Error, CodeIssuer, "tls.source", "the TLS listener has no certificate", "AWS needs its ARN", "give it with --certificate-arn")
		}
		if o.Passthrough && o.GatewayName == "" {
			add(diag.Error, CodeGateway, "loadBalancer.kind", "there is no Gateway for the listener", "a route has to name it", "give it with --gateway, and make a listener with tls.mode: Passthrough for "+t.Names.KAS.Name)
		}
	}
	if f.Spec.TLS.Source == spec.TLSACME && t.Edge == nil {
		add(diag.Error, CodeIssuer, "tls.source", "there is no edge that could obtain certificates", "topology "+t.Name+" has its TLS end in somebody else's balancer", "use cert-manager with --issuer, or a provider's routes")
	}
	if f.Spec.TLS.Source == spec.TLSACME && t.Edge != nil && t.Names.GRPC != nil && !o.Routes.Managed() && o.Issuer == "" && o.Secret == "" {
		add(diag.Warning, CodeIssuer, "tls.source", "the certificate of "+t.Names.GRPC.Name+" is the Secret's "+secret(f, o), "the edge has what it obtains from memory, and the route for gRPC needs a Secret with tls.crt",
			"give cert-manager's issuer with --issuer in place of tls.source: acme, or take a provider's routes for gRPC")
	}
	if t.Edge != nil && o.KASTLS {
		add(diag.Error, CodeBackend, "topology", "kas has TLS, and the edge speaks cleartext to it", "both are in one cluster", "leave --kas-tls-secret out")
	}
	if t.Names.GRPC != nil && o.Routes == GKEIngress && !o.KASTLS {
		if t.Edge != nil {
			add(diag.Error, CodeBackend, "topology", "Google's Ingress speaks HTTP/2 to a backend by TLS alone, and kas behind an edge has none", "gRPC needs HTTP/2", "take --routes gke-gateway, which speaks it in clear")
		} else {
			add(diag.Error, CodeBackend, "topology", "Google's Ingress speaks HTTP/2 to a backend by TLS alone", "gRPC needs HTTP/2", "give kas a certificate with --kas-tls-secret, for values and extras, or take --routes gke-gateway")
		}
	}
	if o.Routes == ALB && o.ARN == "" {
		add(diag.Error, CodeIssuer, "tls.source", "AWS needs the ARN of a certificate", "its balancer ends TLS", "give it with --certificate-arn")
	}
	if o.Routes == GKEGateway && o.CertificateMap == "" {
		add(diag.Error, CodeIssuer, "tls.source", "Google's Gateway needs a map of certificates", "its balancer ends TLS", "give it with --certificate-map")
	}
	return findings
}
