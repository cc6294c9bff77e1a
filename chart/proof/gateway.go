package proof

import (
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1alpha2 "sigs.k8s.io/gateway-api/apis/v1alpha2"
	gatewayv1alpha3 "sigs.k8s.io/gateway-api/apis/v1alpha3"

	"kasgen/chart/manifest"
	"kasgen/internal/diag"
)

// gateways are the rules of Gateway API's routes.
func (p *proving) gateways() {
	typed(p.objects, func(o *manifest.Object, r *gatewayv1.HTTPRoute) {
		for _, rule := range r.Spec.Rules {
			paths := []string{"/"}
			if len(rule.Matches) > 0 {
				paths = nil
			}
			for _, m := range rule.Matches {
				if m.Path != nil && m.Path.Value != nil {
					paths = append(paths, *m.Path.Value)
				} else {
					paths = append(paths, "/")
				}
			}
			for _, b := range rule.BackendRefs {
				for _, path := range paths {
					p.route(o, r.Spec.CommonRouteSpec, r.Spec.Hostnames, path, b.BackendRef, rule.Timeouts)
				}
			}
		}
	})
	typed(p.objects, func(o *manifest.Object, r *gatewayv1.GRPCRoute) {
		for _, rule := range r.Spec.Rules {
			for _, b := range rule.BackendRefs {
				to, ok := p.backend(b.BackendRef)
				if !ok {
					continue
				}
				p.exposed(o, to, "")
				for _, h := range hosts(r.Spec.Hostnames) {
					p.Ways = append(p.Ways, Way{Host: h, Path: grpcPath, To: to.part, Port: to.port, HTTP2: true, Via: o, Secret: p.listener(o, r.Spec.CommonRouteSpec, h)})
				}
			}
		}
	})
	typed(p.objects, func(o *manifest.Object, r *gatewayv1.TLSRoute) {
		p.tlsRoute(o, r.Spec.Hostnames, tlsRefs(r.Spec.Rules))
	})
	typed(p.objects, func(o *manifest.Object, r *gatewayv1alpha3.TLSRoute) {
		p.tlsRoute(o, r.Spec.Hostnames, tlsRefs(r.Spec.Rules))
	})
	typed(p.objects, func(o *manifest.Object, r *gatewayv1alpha2.TLSRoute) {
		var refs []gatewayv1.BackendRef
		for _, rule := range r.Spec.Rules {
			refs = append(refs, rule.BackendRefs...)
		}
		p.tlsRoute(o, r.Spec.Hostnames, refs)
	})
}

func tlsRefs(rules []gatewayv1.TLSRouteRule) []gatewayv1.BackendRef {
	var refs []gatewayv1.BackendRef
	for _, rule := range rules {
		refs = append(refs, rule.BackendRefs...)
	}
	return refs
}

func (p *proving) tlsRoute(o *manifest.Object, names []gatewayv1.Hostname, refs []gatewayv1.BackendRef) {
	for _, b := range refs {
		if to, ok := p.backend(b); ok {
			p.exposed(o, to, "")
			for _, h := range hosts(names) {
				p.Ways = append(p.Ways, Way{Host: h, To: to.part, Port: to.port, Raw: true, Via: o})
			}
		}
	}
}

// route is one path of an HTTPRoute.
func (p *proving) route(o *manifest.Object, spec gatewayv1.CommonRouteSpec, names []gatewayv1.Hostname, path string, ref gatewayv1.BackendRef, limits *gatewayv1.HTTPRouteTimeouts) {
	to, ok := p.backend(ref)
	if !ok {
		return
	}
	p.exposed(o, to, "gitlab.kas.gatewayRoute")
	w := Way{Path: path, To: to.part, Port: to.port, Via: o, Upgrades: true}
	policy := p.policy(o)
	if client, _ := policy["useClientProtocol"].(bool); client {
		w.HTTP2 = true
		// The upgrade of a WebSocket is HTTP/1.1 with the client as well; kubectl
		// offers HTTP/2, and would then get it to a port that does not speak it.
		if to.part == KAS && to.port == p.kas.k8s {
			p.add(diag.Error, CodeProtocol, o, "gitlab.kas.backendTrafficPolicy.spec", "requests for the Kubernetes API go on by HTTP/2 where a client came by it",
				"kas's port for the Kubernetes API speaks HTTP/1.1, so that every kubectl call fails", "use chart 10.0.5 or later, whose route for it is one of its own, without the policy")
			w.Upgrades = false
		}
	}
	if to.app == "kubernetes.io/h2c" {
		w.HTTP2, w.Upgrades = true, false
	}
	text := ""
	if limits != nil && limits.Request != nil {
		text = string(*limits.Request)
	} else if t, ok := deep(policy, "timeout", "http", "requestTimeout").(string); ok {
		text = t
	}
	const field = "gitlab.kas.gatewayRoute.timeouts.request"
	seconds, google := p.backendPolicy(string(ref.Name))
	switch d, err := time.ParseDuration(text); {
	case google:
		p.google(&w, seconds)
	case text == "":
		w.Limits = append(w.Limits, Limit{What: "the time limit of requests", Code: CodeTimeLimit, Faint: true, Text: "is not set, so that it is the gateway's own", Field: field})
	case err != nil || d != 0 && d < p.Idle:
		w.Limits = append(w.Limits, Limit{What: "the time limit of requests", Code: CodeTimeLimit, Text: "is " + text, Field: field})
	case d != 0:
		w.Limits = append(w.Limits, Limit{What: "the time limit of requests", Code: CodeTimeLimit, Faint: true, Text: "is " + text, Field: field})
	}
	for _, h := range hosts(names) {
		w.Host, w.Secret = h, p.listener(o, spec, h)
		p.Ways = append(p.Ways, w)
	}
}

func hosts(names []gatewayv1.Hostname) []string {
	if len(names) == 0 {
		return []string{""}
	}
	var list []string
	for _, n := range names {
		list = append(list, string(n))
	}
	return list
}

func (p *proving) backend(ref gatewayv1.BackendRef) (target, bool) {
	if ref.Kind != nil && *ref.Kind != "Service" || ref.Port == nil {
		return target{}, false
	}
	return p.behind(string(ref.Name), intstr.FromInt32(*ref.Port))
}

// policy is what Envoy Gateway's BackendTrafficPolicy says of a route.
func (p *proving) policy(route *manifest.Object) map[string]any {
	for _, o := range p.objects {
		if o.Kind != "BackendTrafficPolicy" || !strings.HasPrefix(o.APIVersion, "gateway.envoyproxy.io/") {
			continue
		}
		spec, _ := o.Tree["spec"].(map[string]any)
		refs, _ := spec["targetRefs"].([]any)
		if one, ok := spec["targetRef"]; ok {
			refs = append(refs, one)
		}
		for _, r := range refs {
			ref, _ := r.(map[string]any)
			if ref["kind"] == route.Kind && ref["name"] == route.Name {
				return spec
			}
		}
	}
	return nil
}

// listener is the Secret of the listener that a route is at: the Gateway's own,
// where the objects have it. A Gateway of somebody else's counts as one with TLS.
func (p *proving) listener(o *manifest.Object, spec gatewayv1.CommonRouteSpec, host string) string {
	secret, seen := "", false
	for _, ref := range spec.ParentRefs {
		typed(p.objects, func(g *manifest.Object, gw *gatewayv1.Gateway) {
			if g.Name != string(ref.Name) {
				return
			}
			seen = true
			for _, l := range gw.Spec.Listeners {
				if ref.SectionName != nil && l.Name != *ref.SectionName || l.Hostname != nil && !covers(string(*l.Hostname), host) {
					continue
				}
				if l.TLS != nil && len(l.TLS.CertificateRefs) > 0 {
					secret = string(l.TLS.CertificateRefs[0].Name)
				}
				if l.TLS != nil && l.TLS.Options["networking.gke.io/pre-shared-certs"] != "" {
					secret = string(l.TLS.Options["networking.gke.io/pre-shared-certs"])
				}
			}
		})
		if p.policyCertificates(string(ref.Name)) {
			secret = provided
		}
	}
	if seen && secret == "" {
		p.add(diag.Error, CodeSecret, o, "", "its listener has no TLS for "+host, "tokens would cross the network in clear", "give the listener a certificate for the name")
	}
	return secret
}

// policyCertificates says whether a provider keeps a Gateway's certificates.
func (p *proving) policyCertificates(name string) bool {
	for _, o := range p.objects {
		if o.Kind == "Gateway" && o.Name == name && o.Annotations["networking.gke.io/certmap"] != "" {
			return true
		}
	}
	return false
}

// covers says whether a listener's name takes a host.
func covers(name, host string) bool {
	if tail, ok := strings.CutPrefix(name, "*"); ok {
		return strings.HasSuffix(host, tail)
	}
	return name == host
}

func deep(tree map[string]any, path ...string) any {
	var at any = tree
	for _, k := range path {
		m, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = m[k]
	}
	return at
}
