package topology

import (
	"fmt"
	"time"

	"kasgen/generator/spec"
	"kasgen/internal/kasconf"
)

// base is what every topology has.
func base(s *spec.Spec) (Topology, error) {
	version, err := kasconf.ParseVersion(s.KAS.Version)
	if err != nil {
		return Topology{}, fmt.Errorf("kas.version: %w", err)
	}
	prefix, note := s.KAS.PathPrefix, "The path arrives as clients sent it."
	if s.KAS.StripPrefix {
		prefix, note = "/", s.KAS.PathPrefix+" is taken off the path before kas."
	}
	return Topology{
		Name:       string(s.Topology),
		SpecDigest: s.Digest(),
		StateDir:   s.StateDir,
		KAS: KAS{
			GitLab: s.KAS.Kind != spec.KASEmbedded, External: s.KAS.Kind == spec.KASExternal, Version: version,
			GitLabURL: s.GitLab.URL, ExternalURL: s.GitLab.ExternalURL, GitLabCAFile: s.GitLab.CAFile,
			Websocket: s.Agents.Websocket == spec.WebsocketKeep, RemoveWebsocket: string(s.Agents.RemoveAfter),
			PathPrefix: prefix, PrefixNote: note,
			Listen: s.KAS.Listen, Secrets: s.KAS.Secrets, Redis: s.KAS.Redis,
		},
		Timeouts: Timeouts{
			Connect: time.Duration(s.Timeouts.Connect), Idle: time.Duration(s.Timeouts.Idle), Drain: time.Duration(s.Timeouts.Drain),
			Handshake: time.Duration(s.Timeouts.Handshake), Sniff: time.Duration(s.Timeouts.Sniff),
			Header: time.Duration(s.Timeouts.Header), Keepalive: time.Duration(s.Timeouts.Keepalive),
		},
		Development: development(s, version),
	}, nil
}

// hosts are the names of the certificate.
func hosts(s *spec.Spec) []string {
	names := []string{s.Names.KAS}
	if s.Names.GRPC != "" {
		names = append(names, s.Names.GRPC)
	}
	return names
}

func tlsOf(s *spec.Spec, alpn ...string) *TLS {
	return &TLS{CertificateFile: s.TLS.CertificateFile, KeyFile: s.TLS.KeyFile, CombinedFile: s.TLS.CombinedFile,
		MinVersion: s.TLS.MinVersion, ALPN: alpn}
}

func checkOf(s *spec.Spec) *Check {
	h := s.LoadBalancer.HealthCheck
	return &Check{Interval: time.Duration(h.Interval), Fall: h.Fall, Rise: h.Rise}
}
