package probe

// kasHop is kas itself, where the bundle has its configuration.
func (b *Bundle) kasHop(takes func(bind string) bool) *hop {
	if b.kas == nil || b.kas.Agent == nil {
		return nil
	}
	if l := b.kas.Agent.Listen; l != nil && takes(l.Address) {
		at := b.kasAt.Pos("agent.listen.address")
		return &hop{from: listening{at: at, secure: l.CertificateFile != ""}, suspects: func(c *Check, _ *endpoint) []suspect {
			switch {
			case (c.Code == codeWebSocket || c.Code == codeHTTP2Only) && c.cause == causeNone && !l.Websocket:
				return []suspect{{b.kasAt.Pos("agent.listen.websocket"), "without websocket: true kas takes agents by gRPC only"}}
			case c.Code == codeAgentPort:
				return []suspect{{at, "this is kas's port for agents"}}
			default:
				return nil
			}
		}}
	}
	k := b.kas.Agent.KubernetesAPI
	if k == nil || k.Listen == nil || !takes(k.Listen.Address) {
		return nil
	}
	at := b.kasAt.Pos("agent.kubernetes_api.listen.address")
	return &hop{from: listening{at: at, secure: k.Listen.CertificateFile != "", h1: true}, suspects: func(c *Check, _ *endpoint) []suspect {
		switch c.Code {
		case codePrefix:
			return []suspect{{b.kasAt.Pos("agent.kubernetes_api.url_path_prefix"), "the prefix that kas takes away: " + k.URLPathPrefix}}
		case codeAgentPort:
			return []suspect{{at, "this is kas's port for the Kubernetes API"}}
		default:
			return nil
		}
	}}
}
