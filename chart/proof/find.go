package proof

import (
	"fmt"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kasgen/chart/manifest"
	"kasgen/internal/diag"
	"kasgen/internal/edgeconf"
	"kasgen/internal/kasconf"
)

// Keys of ConfigMaps that hold the files of kas and of the edge.
const (
	KASFile  = "config.yaml"
	EdgeFile = "edge.yaml"
)

// server is kas as the objects have it.
type server struct {
	map_     *manifest.Object // its ConfigMap
	text     string
	file     *kasconf.File
	pods     *manifest.Object
	template corev1.PodTemplateSpec
	agent    int // ports
	k8s      int
	others   map[int]string // ports that no client needs, and what they are
}

// edge is the edge as the objects have it.
type edge struct {
	map_     *manifest.Object
	text     string
	file     *edgeconf.File
	template corev1.PodTemplateSpec
	port     int
}

// findKAS finds the release's kas.
func (p *proving) findKAS() bool {
	p.kas = &server{others: map[int]string{}}
	typed(p.objects, func(o *manifest.Object, m *corev1.ConfigMap) {
		if o.Name == p.Release+"-kas" && m.Data[KASFile] != "" {
			p.kas.map_, p.kas.text = o, m.Data[KASFile]
		}
	})
	typed(p.objects, func(o *manifest.Object, d *appsv1.Deployment) {
		if o.Name == p.Release+"-kas" {
			p.kas.pods, p.kas.template = o, d.Spec.Template
		}
	})
	if p.kas.map_ == nil || p.kas.pods == nil {
		p.add(diag.Error, CodeNoKAS, nil, "global.kas.enabled", fmt.Sprintf("release %s has no kas", p.Release),
			"there is no ConfigMap or no Deployment "+p.Release+"-kas", "set global.kas.enabled, or name the release with --release")
		return false
	}
	file, _, findings, err := kasconf.ReadPlaced(kasconf.Source{Name: p.kas.map_.Pos.File + "#" + KASFile, Data: []byte(p.kas.text)})
	if err == nil {
		err = findings.Err()
	}
	if err != nil {
		p.add(diag.Error, CodeConfig, p.kas.map_, "gitlab.kas.customConfig", "kas would not take its "+KASFile+": "+err.Error(), "the pod does not come up", "look at customConfig")
		return false
	}
	full := file.WithDefaults()
	p.kas.file = file
	p.kas.agent = portOf(full.Agent.Listen.Address, 8150)
	p.kas.k8s = 8154
	if api := full.Agent.KubernetesAPI; api != nil && api.Listen != nil {
		p.kas.k8s = portOf(api.Listen.Address, 8154)
	}
	p.kas.others[8151], p.kas.others[8153], p.kas.others[8155] = "metrics", "the internal API", "the API between kas and kas"
	if full.Observability != nil && full.Observability.Listen != nil {
		p.kas.others[portOf(full.Observability.Listen.Address, 8151)] = "metrics"
	}
	if full.API != nil && full.API.Listen != nil {
		p.kas.others[portOf(full.API.Listen.Address, 8153)] = "the internal API"
	}
	if full.PrivateAPI != nil && full.PrivateAPI.Listen != nil {
		p.kas.others[portOf(full.PrivateAPI.Listen.Address, 8155)] = "the API between kas and kas"
	}
	return true
}

// findEdge finds the edge, which only the objects beside the release have.
func (p *proving) findEdge() {
	typed(p.objects, func(o *manifest.Object, m *corev1.ConfigMap) {
		if text := m.Data[EdgeFile]; text != "" {
			p.edge = &edge{map_: o, text: text}
		}
	})
	if p.edge == nil {
		return
	}
	file, err := edgeconf.Read(p.edge.map_.Pos.File+"#"+EdgeFile, []byte(p.edge.text))
	if err != nil {
		p.add(diag.Error, CodeConfig, p.edge.map_, "", "the edge would not take its "+EdgeFile+": "+err.Error(), "the pod does not come up", "generate it again")
		p.edge = nil
		return
	}
	p.edge.file, p.edge.port = file, portOf(file.Listeners[0].Address, 0)
	typed(p.objects, func(_ *manifest.Object, d *appsv1.Deployment) {
		for _, v := range d.Spec.Template.Spec.Volumes {
			if v.ConfigMap != nil && v.ConfigMap.Name == p.edge.map_.Name {
				p.edge.template = d.Spec.Template
			}
		}
	})
}

// target is where a port of a Service leads.
type target struct {
	part Part
	port int
	app  string // the Service's appProtocol
}

// behind is what a Service's port leads to; port is a number or a name.
func (p *proving) behind(name string, port intstr.IntOrString) (to target, ok bool) {
	typed(p.objects, func(o *manifest.Object, s *corev1.Service) {
		if o.Name != name {
			return
		}
		part, template, found := p.selected(s)
		if !found {
			return
		}
		for _, sp := range s.Spec.Ports {
			if port.Type == intstr.Int && sp.Port == port.IntVal || port.Type == intstr.String && sp.Name == port.StrVal {
				to, ok = target{part: part, port: podPort(template, sp)}, true
				if sp.AppProtocol != nil {
					to.app = *sp.AppProtocol
				}
			}
		}
	})
	return to, ok
}

// selected is whose pods a Service has.
func (p *proving) selected(s *corev1.Service) (Part, corev1.PodTemplateSpec, bool) {
	if len(s.Spec.Selector) == 0 {
		return "", corev1.PodTemplateSpec{}, false
	}
	selector := labels.SelectorFromSet(s.Spec.Selector)
	if selector.Matches(labels.Set(p.kas.template.Labels)) {
		return KAS, p.kas.template, true
	}
	if p.edge != nil && len(p.edge.template.Labels) > 0 && selector.Matches(labels.Set(p.edge.template.Labels)) {
		return Edge, p.edge.template, true
	}
	return "", corev1.PodTemplateSpec{}, false
}

// podPort is the pod's port of a Service's.
func podPort(template corev1.PodTemplateSpec, sp corev1.ServicePort) int {
	if sp.TargetPort.Type == intstr.String {
		for _, c := range template.Spec.Containers {
			for _, cp := range c.Ports {
				if cp.Name == sp.TargetPort.StrVal {
					return int(cp.ContainerPort)
				}
			}
		}
		return 0
	}
	if sp.TargetPort.IntVal != 0 {
		return int(sp.TargetPort.IntVal)
	}
	return int(sp.Port)
}

func portOf(address string, otherwise int) int {
	for i := len(address) - 1; i >= 0; i-- {
		if address[i] == ':' {
			if n, err := strconv.Atoi(address[i+1:]); err == nil {
				return n
			}
		}
	}
	return otherwise
}

// exposed reports a port of kas that no client needs, if it is one.
func (p *proving) exposed(o *manifest.Object, to target, field string) {
	if to.part != KAS || to.port == p.kas.agent || to.port == p.kas.k8s {
		return
	}
	what, ok := p.kas.others[to.port]
	if !ok {
		what = "nothing that a client needs"
	}
	p.add(diag.Error, CodeExposed, o, field, fmt.Sprintf("port %d of kas, %s, can be reached from outside", to.port, what),
		"it is for processes inside the cluster", "leave gitlab.kas.service.type at ClusterIP, and take connections with a Service that has only the ports that clients need")
}
