package proof

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kasgen/chart/manifest"
	"kasgen/internal/diag"
)

// services are those that the world reaches by themselves.
func (p *proving) services() {
	typed(p.objects, func(o *manifest.Object, s *corev1.Service) {
		if s.Spec.Type != corev1.ServiceTypeLoadBalancer && s.Spec.Type != corev1.ServiceTypeNodePort && len(s.Spec.ExternalIPs) == 0 {
			return
		}
		part, template, ok := p.selected(s)
		if !ok {
			return
		}
		for _, sp := range s.Spec.Ports {
			to := target{part: part, port: podPort(template, sp)}
			p.exposed(o, to, "gitlab.kas.service.type")
			p.Ways = append(p.Ways, Way{To: to.part, Port: to.port, Raw: true, Ended: endsTLS(s), Via: o})
		}
	})
}

// endsTLS says whether a provider's balancer ends TLS for a Service.
func endsTLS(s *corev1.Service) bool {
	return s.Annotations["service.beta.kubernetes.io/aws-load-balancer-ssl-cert"] != ""
}

// tcpServices are ports of ingress-nginx that lead to kas without being read.
func (p *proving) tcpServices() {
	entries := map[string]bool{} // ports
	var table string
	typed(p.objects, func(_ *manifest.Object, d *appsv1.Deployment) {
		for _, c := range d.Spec.Template.Spec.Containers {
			for _, arg := range c.Args {
				if ref, ok := strings.CutPrefix(arg, "--tcp-services-configmap="); ok {
					_, table, _ = strings.Cut(ref, "/")
				}
			}
		}
	})
	if table == "" {
		return
	}
	typed(p.objects, func(o *manifest.Object, m *corev1.ConfigMap) {
		if o.Name != table {
			return
		}
		for port, ref := range m.Data {
			entries[port] = true
			parts := strings.Split(ref, ":")
			if len(parts) < 2 {
				continue
			}
			_, service, _ := strings.Cut(parts[0], "/")
			if to, ok := p.behind(service, intstr.Parse(parts[1])); ok {
				p.exposed(o, to, "nginx-ingress.tcp."+port)
				p.Ways = append(p.Ways, Way{To: to.part, Port: to.port, Raw: true, Via: o})
			}
		}
	})
	typed(p.objects, func(o *manifest.Object, s *corev1.Service) {
		if s.Spec.Type != corev1.ServiceTypeLoadBalancer || !strings.Contains(o.Name, "nginx-ingress") {
			return
		}
		for _, sp := range s.Spec.Ports {
			port := fmt.Sprint(sp.Port)
			if sp.Port == 80 || sp.Port == 443 || entries[port] {
				continue
			}
			p.add(diag.Error, CodeListener, o, "nginx-ingress.tcp."+port, fmt.Sprintf("port %d is open, and nothing listens there", sp.Port),
				"the controller takes TCP services from ConfigMap "+table+", which has no line for it",
				"set gitlab.gitlab-shell.tcpExternalConfig: true, nginx-ingress.tcpExternalConfig: \"\", nginx-ingress.controller.service.enableShell: false, and both ports below nginx-ingress.tcp; or take connections with a Service of its own")
		}
	})
}
