package proof

import (
	"fmt"

	"kasgen/internal/diag"
)

// config holds kas's own file to the topology.
func (p *proving) config() {
	a := p.kas.file.Agent
	if a == nil || a.Listen == nil || a.KubernetesAPI == nil {
		p.add(diag.Error, CodeConfig, p.kas.map_, "gitlab.kas.customConfig.agent", "kas has no listener for agents or for the Kubernetes API", "one of them cannot connect", "leave agent.listen and agent.kubernetes_api in customConfig alone")
		return
	}
	if a.Listen.Websocket != p.WSS {
		p.add(diag.Error, CodeConfig, p.kas.map_, "gitlab.kas.customConfig.agent.listen.websocket", fmt.Sprintf("agent.listen.websocket is %v", a.Listen.Websocket),
			"the topology has agents by WebSocket: "+yesNo(p.WSS), "take the values that `kasgen chart values` gives; global.kas.customConfig takes the place of gitlab.kas.customConfig")
	}
	if got := a.KubernetesAPI.URLPathPrefix; got != p.Prefix && (got != "" || p.Prefix != "/") {
		p.add(diag.Error, CodeConfig, p.kas.map_, "gitlab.kas.ingress.k8sApiPath", fmt.Sprintf("agent.kubernetes_api.url_path_prefix is %q, and requests come below %s", got, p.Prefix),
			"the proxy in front does not take the prefix off, so kas has to know it", "set the one key gitlab.kas.ingress.k8sApiPath")
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
