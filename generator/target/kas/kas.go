// Package kas owns kas-config.yaml for a topology. It knows no spec. Its law:
// GitLab's kas of the topology's version accepts what it writes, or the file's
// first comment says why not.
package kas

import (
	"fmt"

	"kasgen/generator/bundle"
	"kasgen/generator/target"
	"kasgen/generator/topology"
	"kasgen/internal/kasconf"
)

// Path is the file's name in a bundle.
const Path = "kas/kas-config.yaml"

// Render writes kas's configuration, if it is ours to write.
func Render(t topology.Topology) ([]bundle.File, error) {
	k := t.KAS
	if k.External {
		return nil, nil
	}
	f := &kasconf.File{
		Gitlab: &kasconf.Gitlab{
			Address: k.GitLabURL, AuthenticationSecretFile: k.Secrets.GitLab, CACertificateFile: k.GitLabCAFile,
			ExternalURL: optional(k.ExternalURL),
		},
		Agent: &kasconf.Agent{
			Listen:        &kasconf.AgentListen{Network: "tcp", Address: k.Listen.Agent, Websocket: k.Websocket},
			KubernetesAPI: &kasconf.KubernetesAPI{Listen: &kasconf.KubernetesAPIListen{Network: "tcp", Address: k.Listen.KubernetesAPI}, URLPathPrefix: k.PathPrefix},
		},
		Observability: &kasconf.Observability{Listen: &kasconf.ObservabilityListen{Network: "tcp", Address: k.Listen.Observability}},
		Redis:         redis(t),
		API:           &kasconf.API{Listen: &kasconf.APIListen{Network: "tcp", Address: k.Listen.API, AuthenticationSecretFile: k.Secrets.API}},
		PrivateAPI: &kasconf.PrivateAPI{Listen: &kasconf.PrivateAPIListen{APIListen: kasconf.APIListen{
			Network: "tcp", Address: k.Listen.PrivateAPI, AuthenticationSecretFile: k.Secrets.PrivateAPI}}},
	}
	if k.Version.Has(kasconf.WebsocketTokenKey) {
		f.Agent.KubernetesAPI.WebsocketTokenSecretFile = k.Secrets.WebsocketToken
	}
	data := kasconf.Write(f, comment(t, f), map[string]string{
		"gitlab.external_url":                  "The one origin from which browsers may use the Kubernetes API proxy.",
		"agent.listen.websocket":               websocketNote(k),
		"agent.kubernetes_api.url_path_prefix": k.PrefixNote,
	})
	if _, err := kasconf.Read(Path, data); err != nil {
		return nil, fmt.Errorf("kas: the topology cannot be written: %w", err)
	}
	return []bundle.File{{Path: Path, Data: data}}, nil
}

// comment is the first words of the file.
func comment(t topology.Topology, f *kasconf.File) string {
	program := "kasgen's embedded kas, with the keys of GitLab's kas " + t.KAS.Version.String()
	if t.KAS.GitLab {
		program = "GitLab's kas " + t.KAS.Version.String()
	}
	text := target.Header(t, program)
	if refused := f.CheckGitLab(t.KAS.Version); len(refused) > 0 {
		why := "GitLab's kas would refuse this file:"
		for _, r := range refused {
			why += " " + r.What + " (" + r.Why + ")."
		}
		text = why + "\n" + text
	}
	return text
}

func websocketNote(k topology.KAS) string {
	switch {
	case !k.Websocket:
		return ""
	case k.RemoveWebsocket != "":
		return "Agents over WebSocket as well as gRPC, until nobody uses it after " + k.RemoveWebsocket + "."
	default:
		return "Agents over WebSocket as well as gRPC."
	}
}

func redis(t topology.Topology) *kasconf.Redis {
	r := t.KAS.Redis
	if r == nil {
		return nil
	}
	c := &kasconf.Redis{Username: r.Username, PasswordFile: r.PasswordFile, KeyPrefix: r.KeyPrefix, DatabaseIndex: int32(r.Database), Network: "tcp"}
	if r.Address != "" {
		c.Server = &kasconf.RedisServer{Address: r.Address}
	}
	if s := r.Sentinel; s != nil {
		c.Sentinel = &kasconf.RedisSentinel{MasterName: s.Master, Addresses: s.Addresses, SentinelPasswordFile: s.PasswordFile}
	}
	if tls := r.TLS; tls != nil {
		c.TLS = &kasconf.RedisTLS{Enabled: true, CACertificateFile: tls.CAFile, CertificateFile: tls.CertificateFile, KeyFile: tls.KeyFile}
	}
	return c
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
