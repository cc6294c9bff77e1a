package proof

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kasgen/chart/manifest"
	"kasgen/internal/diag"
)

// provided stands for a Secret where a provider keeps the certificate.
const provided = "(the provider's)"

// managed reads an Ingress of a provider's, if it is one.
func (p *proving) managed(w *Way, o *manifest.Object, annotations map[string]string, service string) bool {
	switch {
	case annotations["alb.ingress.kubernetes.io/scheme"] != "":
		p.alb(w, o, annotations)
	case annotations["kubernetes.io/ingress.class"] == "gce":
		p.gce(w, o, annotations, service)
	default:
		return false
	}
	return true
}

func (p *proving) alb(w *Way, o *manifest.Object, annotations map[string]string) {
	const prefix = "alb.ingress.kubernetes.io/"
	version := strings.ToUpper(annotations[prefix+"backend-protocol-version"])
	w.HTTP2 = version == "GRPC" || version == "HTTP2"
	w.Upgrades = !w.HTTP2
	if annotations[prefix+"certificate-arn"] != "" {
		w.Secret = provided
	}
	p.backendTLS(w, o, strings.EqualFold(annotations[prefix+"backend-protocol"], "HTTPS"))
	seconds := 60 // unless told
	for pair := range strings.SplitSeq(annotations[prefix+"load-balancer-attributes"], ",") {
		if v, ok := strings.CutPrefix(pair, "idle_timeout.timeout_seconds="); ok {
			if n, err := strconv.Atoi(v); err == nil {
				seconds = n
			}
		}
	}
	if idle := time.Duration(seconds) * time.Second; idle < p.Idle {
		// AWS allows no more than 4000 s; agents ping each minute.
		w.Limits = append(w.Limits, Limit{What: "idle_timeout.timeout_seconds", Code: CodeTimeLimit, Faint: seconds >= 4000, Text: fmt.Sprintf("is %d s", seconds)})
	}
}

func (p *proving) gce(w *Way, o *manifest.Object, annotations map[string]string, service string) {
	if annotations["networking.gke.io/managed-certificates"] != "" || annotations["ingress.gcp.kubernetes.io/pre-shared-cert"] != "" {
		w.Secret = provided
	}
	protocol, config := p.gceService(service, w)
	w.HTTP2 = protocol == "HTTP2"
	w.Upgrades = !w.HTTP2
	p.backendTLS(w, o, protocol == "HTTP2" || protocol == "HTTPS")
	seconds := 30 // Google's own
	for _, b := range p.objects {
		if b.Kind == "BackendConfig" && b.Name == config {
			if n, ok := number(deep(b.Tree, "spec", "timeoutSec")); ok {
				seconds = n
			}
		}
	}
	p.google(w, seconds)
}

// google adds the limit that Google's balancers have for any stream.
func (p *proving) google(w *Way, seconds int) {
	if time.Duration(seconds)*time.Second < p.Idle {
		w.Limits = append(w.Limits, Limit{What: "timeoutSec", Code: CodeTimeLimit, Text: fmt.Sprintf("is %d s", seconds)})
	}
}

// gceService is how Google's balancer speaks to a Service, and which
// BackendConfig it takes.
func (p *proving) gceService(name string, w *Way) (protocol, config string) {
	typed(p.objects, func(o *manifest.Object, s *corev1.Service) {
		if o.Name != name {
			return
		}
		var protocols, configs map[string]string
		if json.Unmarshal([]byte(o.Annotations["cloud.google.com/app-protocols"]), &protocols) == nil {
			for _, sp := range s.Spec.Ports {
				if podPort(p.kas.template, sp) == w.Port {
					protocol = protocols[sp.Name]
				}
			}
		}
		if json.Unmarshal([]byte(o.Annotations["cloud.google.com/backend-config"]), &configs) == nil {
			config = configs["default"]
		}
	})
	return protocol, config
}

// backendTLS holds a provider's way to kas to whether kas has TLS.
func (p *proving) backendTLS(w *Way, o *manifest.Object, secure bool) {
	if w.To != KAS || p.kasTLS(w.Port) == secure {
		return
	}
	what := "speaks cleartext to a port of kas that has TLS"
	if secure {
		what = "speaks TLS to a port of kas that has none"
	}
	p.add(diag.Error, CodeProtocol, o, "global.kas.tls.enabled", what, "every request is answered with 502", "generate values and extras with the same --kas-tls-secret")
}

// backendPolicy is the limit that Google's Gateway has for a Service.
func (p *proving) backendPolicy(service string) (int, bool) {
	i := slices.IndexFunc(p.objects, func(o *manifest.Object) bool {
		return o.Kind == "GCPBackendPolicy" && deep(o.Tree, "spec", "targetRef", "name") == service
	})
	if i < 0 {
		return 0, false
	}
	return number(deep(p.objects[i].Tree, "spec", "default", "timeoutSec"))
}

func number(v any) (int, bool) {
	switch n := v.(type) {
	case int64:
		return int(n), true
	case float64:
		return int(n), true
	}
	return 0, false
}
