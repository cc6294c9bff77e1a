package proof

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kasgen/chart/manifest"
	"kasgen/internal/diag"
)

const nginxAnnotation = "nginx.ingress.kubernetes.io/"

// ingresses are the paths of Ingress objects.
func (p *proving) ingresses() {
	typed(p.objects, func(o *manifest.Object, in *networkingv1.Ingress) {
		secrets := map[string]string{}
		for _, t := range in.Spec.TLS {
			for _, h := range t.Hosts {
				secrets[h] = t.SecretName
			}
		}
		for _, rule := range in.Spec.Rules {
			if rule.HTTP == nil {
				continue
			}
			for _, path := range rule.HTTP.Paths {
				s := path.Backend.Service
				if s == nil {
					continue
				}
				port := intstr.FromInt32(s.Port.Number)
				if s.Port.Name != "" {
					port = intstr.FromString(s.Port.Name)
				}
				to, ok := p.behind(s.Name, port)
				if !ok {
					continue
				}
				p.exposed(o, to, "gitlab.kas.ingress")
				w := Way{Host: rule.Host, Path: path.Path, To: to.part, Port: to.port, Via: o, Secret: secrets[rule.Host], Upgrades: true}
				w.Regexp = in.Annotations[nginxAnnotation+"use-regex"] == "true"
				p.nginx(&w, o, in.Annotations, s.Name)
				if _, listed := secrets[rule.Host]; !listed && w.Secret == "" {
					p.add(diag.Error, CodeSecret, o, "global.ingress.tls", "no TLS for "+rule.Host, "tokens would cross the network in clear, and kubectl does not send any", "give global.ingress.tls or gitlab.kas.ingress.tls a Secret")
				}
				p.Ways = append(p.Ways, w)
			}
		}
	})
}

// nginx reads what ingress-nginx makes of an Ingress' annotations.
func (p *proving) nginx(w *Way, o *manifest.Object, annotations map[string]string, service string) {
	if p.managed(w, o, annotations, service) {
		return
	}
	protocol := strings.ToUpper(annotations[nginxAnnotation+"backend-protocol"])
	secure := protocol == "HTTPS" || protocol == "GRPCS"
	if protocol == "GRPC" || protocol == "GRPCS" {
		w.HTTP2, w.Upgrades = true, false
	}
	if tls := p.kasTLS(w.Port); w.To == KAS && tls != secure {
		what := "speaks cleartext to a port of kas that has TLS"
		if secure {
			what = "speaks TLS to a port of kas that has none"
		}
		p.add(diag.Error, CodeProtocol, o, "global.kas.tls.enabled", what, "every request is answered with 502", "set global.kas.tls.enabled and leave backend-protocol to the chart")
	}
	if p.Provider != "" && p.Provider != "nginx" {
		w.Limits = append(w.Limits, Limit{Code: CodeTimeLimit, Faint: true, Field: "global.ingress.provider", What: "limits of " + p.Provider, Text: "are not known here"})
		return
	}
	const from = "gitlab.kas.ingress.annotations"
	for _, name := range []string{"proxy-read-timeout", "proxy-send-timeout"} {
		text, given := p.setting(annotations, name)
		seconds, err := strconv.Atoi(text)
		if !given || err != nil {
			seconds, text = 60, "is not set, so that it is 60 s"
		} else {
			text = "is " + text + " s"
		}
		if silence := time.Duration(seconds) * time.Second; w.Silence == 0 || silence < w.Silence {
			w.Silence = silence
		}
		if time.Duration(seconds)*time.Second < p.Idle {
			w.Limits = append(w.Limits, Limit{What: nginxAnnotation + name, Code: CodeTimeLimit, Text: text, Field: from})
		}
	}
	w.Body = "1m"
	if text, given := p.setting(annotations, "proxy-body-size"); given {
		w.Body = text
	}
	if text, given := p.setting(annotations, "proxy-body-size"); !given || strings.TrimRight(text, "kmgKMG") != "0" {
		if !given {
			text = "not set, so that it is 1m"
		}
		w.Limits = append(w.Limits, Limit{What: nginxAnnotation + "proxy-body-size", Code: CodeBody, Text: "is " + text, Field: from})
	}
}

// setting is an annotation, or what the controller's ConfigMap has for all.
func (p *proving) setting(annotations map[string]string, name string) (string, bool) {
	if v, ok := annotations[nginxAnnotation+name]; ok {
		return v, true
	}
	var value string
	var ok bool
	typed(p.objects, func(o *manifest.Object, m *corev1.ConfigMap) {
		if o.Name == p.Release+"-nginx-ingress-controller" {
			value, ok = m.Data[name]
		}
	})
	return value, ok
}

// kasTLS says whether a port of kas has TLS.
func (p *proving) kasTLS(port int) bool {
	a := p.kas.file.Agent
	if a == nil {
		return false
	}
	if port == p.kas.k8s {
		return a.KubernetesAPI != nil && a.KubernetesAPI.Listen != nil && a.KubernetesAPI.Listen.CertificateFile != ""
	}
	return a.Listen != nil && a.Listen.CertificateFile != ""
}

func (l Limit) String() string { return fmt.Sprintf("%s %s", l.What, l.Text) }
