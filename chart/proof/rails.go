package proof

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"kasgen/chart/manifest"
	"kasgen/internal/diag"
)

// erb is code that Rails runs when it reads the file.
var erb = regexp.MustCompile(`<%.*?%>`)

// advertised is what GitLab's file says of kas.
type advertised struct {
	Enabled     *bool  `json:"enabled"`
	ExternalURL string `json:"external_url"`
	InternalURL string `json:"internal_url"`
}

// rails holds what GitLab advertises to what serves.
func (p *proving) rails() {
	found := false
	typed(p.objects, func(o *manifest.Object, m *corev1.ConfigMap) {
		for _, key := range []string{"gitlab.yml.erb", "gitlab.yml"} {
			text, ok := m.Data[key]
			if !ok {
				continue
			}
			var file map[string]struct {
				KAS *advertised `json:"gitlab_kas"`
			}
			if err := yaml.Unmarshal([]byte(erb.ReplaceAllString(text, "erb")), &file); err != nil {
				p.add(diag.Warning, CodeRails, o, "", key+" could not be read: "+err.Error(), "so what GitLab advertises was not looked at", "look at the file")
				continue
			}
			for _, env := range file {
				if env.KAS != nil {
					found = true
					p.advertises(o, *env.KAS)
				}
			}
		}
	})
	if !found {
		p.add(diag.Warning, CodeRails, nil, "global.appConfig.gitlab_kas", "no gitlab.yml was found", "so what GitLab advertises was not looked at", "verify the whole chart, not kas's part")
	}
}

func (p *proving) advertises(o *manifest.Object, a advertised) {
	const field = "global.appConfig.gitlab_kas.externalUrl"
	if a.Enabled == nil || !*a.Enabled {
		p.add(diag.Error, CodeRails, o, "global.appConfig.gitlab_kas.enabled", "GitLab has kas switched off", "agents cannot be registered", "set global.kas.enabled: true, and leave this one out")
		return
	}
	u, err := url.Parse(a.ExternalURL)
	if err != nil || u.Hostname() == "" {
		p.add(diag.Error, CodeRails, o, field, fmt.Sprintf("%q is no address for agents", a.ExternalURL), "agents are told it", "write it as wss://"+p.Host)
		return
	}
	host := u.Hostname()
	fault := func(what, why, fix string) {
		p.add(diag.Error, CodeRails, o, field, fmt.Sprintf("advertises %s, but %s", a.ExternalURL, what), why, fix)
	}
	fix := "take the values that `kasgen chart values` gives"
	switch u.Scheme {
	case "wss", "grpcs":
	default:
		fault("clients send no token in clear", "kubectl does not, and agents should not", fix)
		return
	}
	if host != p.Host && host != p.GRPCHost {
		fault("the topology's names are others", "agents and CI jobs are sent elsewhere", fix)
		return
	}
	// GitLab puts k8s-proxy behind the address, whatever its scheme.
	k8s := "/" + strings.TrimPrefix(strings.TrimSuffix(u.Path, "/")+"/k8s-proxy", "/")
	if !p.absent(host) {
		if w, ok := p.best(host, k8s+"/api"); !p.leads(w, ok, p.kas.k8s, k8s) {
			fault(fmt.Sprintf("nothing leads https://%s%s to port %d of kas", host, k8s, p.kas.k8s), "GitLab writes that address into every kubeconfig of a CI job",
				"advertise a name that takes the Kubernetes API too; agents by gRPC can be given another address as their kasAddress")
		}
		w, ok := p.best(host, map[string]string{"wss": "/", "grpcs": grpcPath}[u.Scheme])
		switch {
		case u.Scheme == "grpcs" && (!ok || w.To == KAS && !w.HTTP2 || w.To == Edge && p.GRPCHost != ""):
			fault("no gRPC passes under this name", "the chart decides by global keys, and keys below gitlab.kas have taken the route away", fix)
		case u.Scheme == "wss" && (!ok || !w.Upgrades && !w.Raw):
			fault("no WebSocket passes under this name", "agents by WebSocket are told this address", fix)
		}
	}
	if u.Scheme == "wss" && p.kas.file.Agent != nil && p.kas.file.Agent.Listen != nil && !p.kas.file.Agent.Listen.Websocket {
		fault("kas takes no WebSocket", "agent.listen.websocket is false in its configuration", fix)
	}
	p.internal(o, a.InternalURL)
}

// leads says whether a way, through the edge or not, is one to a port of kas.
func (p *proving) leads(w Way, ok bool, port int, prefix string) bool {
	if !ok {
		return false
	}
	if w.To == Edge {
		for _, path := range p.edge.file.Listeners[0].Routes.Paths {
			if path.Prefix == prefix {
				return true // upstreams are looked at by themselves
			}
		}
		return false
	}
	return w.Port == port
}

// internal holds Rails' own way to kas to the Service.
func (p *proving) internal(o *manifest.Object, text string) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return // somebody else's, by a key of its own
	}
	name, _, _ := strings.Cut(u.Hostname(), ".")
	to, ok := p.behind(name, intPort(u.Port()))
	if ok && p.kas.others[to.port] != "the internal API" {
		p.add(diag.Error, CodeRails, o, "global.appConfig.gitlab_kas.internalUrl", fmt.Sprintf("calls kas at %s, which is port %d, not its internal API", text, to.port),
			"agents cannot be listed or registered", "leave internalUrl and the Service's ports to the chart")
	}
}

func intPort(text string) intstr.IntOrString { return intstr.Parse(text) }
