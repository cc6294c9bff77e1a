package topology

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"kasgen/generator/spec"
	"kasgen/internal/kasconf"
	"kasgen/internal/lockfile"
)

// The names of upstreams and backends.
const (
	agentUpstream      = "agent"
	kubernetesUpstream = "kubernetes-api"
	edgeBackend        = "edge"
	gitlabBackend      = "gitlab"
)

// alpn is what whoever ends TLS negotiates, in this order: kubectl offers both
// and must get HTTP/1.1, in which it can upgrade; grpc-go offers h2 alone.
func alpn() []string { return []string{"http/1.1", "h2"} }

// A is one domain: a TCP balancer, TLS ended at the edge or before it, and an
// edge that tells gRPC, agents' WebSockets and the Kubernetes API apart by
// their first bytes.
func A(s *spec.Spec) (Topology, error) {
	version, err := kasconf.ParseVersion(s.KAS.Version)
	if err != nil {
		return Topology{}, fmt.Errorf("topology A: kas.version: %w", err)
	}
	t := Topology{
		Name:       string(s.Topology),
		SpecDigest: s.Digest(),
		StateDir:   s.StateDir,
		Edge:       edgeOfA(s),
		KAS: KAS{
			GitLab: s.KAS.Kind == spec.KASGitLab, Version: version,
			GitLabURL: s.GitLab.URL, ExternalURL: s.GitLab.ExternalURL, GitLabCAFile: s.GitLab.CAFile,
			Websocket: s.Agents.Websocket == spec.WebsocketKeep, RemoveWebsocket: string(s.Agents.RemoveAfter),
			PathPrefix: s.KAS.PathPrefix, Listen: s.KAS.Listen, Secrets: s.KAS.Secrets, Redis: s.KAS.Redis,
		},
		Timeouts: Timeouts{
			Connect: time.Duration(s.Timeouts.Connect), Idle: time.Duration(s.Timeouts.Idle), Drain: time.Duration(s.Timeouts.Drain),
			Handshake: time.Duration(s.Timeouts.Handshake), Sniff: time.Duration(s.Timeouts.Sniff),
			Header: time.Duration(s.Timeouts.Header), Keepalive: time.Duration(s.Timeouts.Keepalive),
		},
	}
	if !s.LoadBalancer.Kind.External() {
		if t.Front, err = frontOfA(s); err != nil {
			return Topology{}, err
		}
	}
	t.Development = development(s, version)
	return t, nil
}

func tlsOf(s *spec.Spec) *TLS {
	return &TLS{CertificateFile: s.TLS.CertificateFile, KeyFile: s.TLS.KeyFile, CombinedFile: s.TLS.CombinedFile,
		MinVersion: s.TLS.MinVersion, ALPN: alpn()}
}

func edgeOfA(s *spec.Spec) *Edge {
	e := &Edge{
		Listen:      s.Edge.Listen,
		ProxyHeader: ProxyHeader(s.LoadBalancer.ProxyProtocol),
		ServerNames: []string{s.Names.KAS},
		GRPC:        agentUpstream,
		Paths: []Path{{
			Prefix: s.KAS.PathPrefix, Why: "kubectl, Helm and CI jobs; exec, attach, cp and port-forward upgrade",
			Upstream: kubernetesUpstream, Upgrades: []string{"websocket", "SPDY/3.1"},
		}},
		Upstreams: []Upstream{
			{Name: agentUpstream, Address: dialable(s.KAS.Listen.Agent)},
			{Name: kubernetesUpstream, Address: dialable(s.KAS.Listen.KubernetesAPI)},
		},
	}
	if s.LoadBalancer.TLS == spec.Passthrough {
		e.TLS = tlsOf(s)
	}
	if s.Agents.Websocket == spec.WebsocketKeep {
		why := "agents over WebSocket, on any other path"
		if s.Agents.RemoveAfter != "" {
			why += "; to be removed after " + string(s.Agents.RemoveAfter) + ", when nobody uses it any more"
		}
		e.Paths = append(e.Paths, Path{Prefix: "/", Why: why, Upstream: agentUpstream, Upgrades: []string{"websocket"}, UpgradeOnly: true})
	}
	return e
}

func frontOfA(s *spec.Spec) (*Front, error) {
	lb := s.LoadBalancer
	nginx, err := kasconf.ParseVersion(s.Nginx.Version)
	if err != nil {
		return nil, fmt.Errorf("topology A: nginx.version: %w", err)
	}
	f := &Front{MaxConnections: lb.MaxConnections, StreamModule: s.Nginx.StreamModule,
		HalfClose: !nginx.Less(kasconf.Version{Major: 1, Minor: 21, Patch: 4})}
	switch lb.Kind {
	case spec.NginxStream:
		f.Program = Nginx
	default:
		f.Program = HAProxy
	}
	kas := Frontend{Name: "kas", Why: "everything for " + s.Names.KAS, Listen: slices.Clone(lb.Listen),
		AcceptProxy: lb.AcceptProxyProtocol != spec.ProxyNone, Default: edgeBackend}
	if lb.TLS == spec.Terminate {
		kas.TLS = tlsOf(s)
	}
	check := &Check{Interval: time.Duration(lb.HealthCheck.Interval), Fall: lb.HealthCheck.Fall, Rise: lb.HealthCheck.Rise}
	nodes := slices.Clone(lb.Nodes)
	if len(nodes) == 0 {
		nodes = []string{dialable(s.Edge.Listen)}
	}
	slices.Sort(nodes)
	backend := Backend{Name: edgeBackend, Why: "the listener that looks at the first bytes", Balance: Balance(lb.Balance),
		ProxyHeader: ProxyHeader(lb.ProxyProtocol), Check: check}
	for i, node := range nodes {
		backend.Servers = append(backend.Servers, Server{Name: fmt.Sprintf("%s-%d", edgeBackend, i+1), Address: node})
	}
	f.Backends = []Backend{backend}
	if share := lb.ShareWithGitLab; share.Enabled {
		kas.Why = "this port's TLS, told apart by the name in SNI"
		kas.Names = []Name{{Host: s.Names.KAS, Backend: edgeBackend}}
		kas.Default = gitlabBackend
		// GitLab's web server is one process on this machine: with nothing to
		// change to, a check could only turn a slow answer into a refusal.
		f.Backends = append(f.Backends, Backend{Name: gitlabBackend, Why: "GitLab's own web server, which gave up this port", Balance: RoundRobin,
			ProxyHeader: ProxyHeader(share.ProxyProtocol), Servers: []Server{{Name: gitlabBackend, Address: share.Address}}})
	}
	f.Frontends = []Frontend{kas}
	for i, kept := range s.Migration.Keep {
		name := fmt.Sprintf("kept-%d", i+1)
		f.Frontends = append(f.Frontends, Frontend{Name: name, Why: "an old listener, kept while clients move", Listen: []string{kept.Listen}, Default: name})
		f.Backends = append(f.Backends, Backend{Name: name, Why: "where " + kept.Listen + " went before", Balance: RoundRobin,
			ProxyHeader: NoHeader, Servers: []Server{{Name: name, Address: kept.Backend}}})
	}
	return f, nil
}

// development lists the files that may be made when they are missing.
func development(s *spec.Spec, version kasconf.Version) []lockfile.Development {
	list := []lockfile.Development{}
	secret := func(path string, kind lockfile.DevelopmentKind) {
		if below(s.StateDir, path) {
			list = append(list, lockfile.Development{Path: path, Kind: kind, Names: []string{}})
		}
	}
	if s.TLS.Source == spec.TLSDevelopmentCA {
		list = append(list,
			lockfile.Development{Path: s.StateDir + "/tls/ca.crt", Kind: lockfile.CA, Names: []string{}},
			lockfile.Development{Path: s.TLS.CertificateFile, Kind: lockfile.Certificate, Names: []string{s.Names.KAS}})
	}
	if s.KAS.Kind == spec.KASGitLab {
		return list // GitLab has made its own, and would not know others
	}
	secret(s.KAS.Secrets.GitLab, lockfile.Secret)
	secret(s.KAS.Secrets.API, lockfile.Secret)
	secret(s.KAS.Secrets.PrivateAPI, lockfile.Secret)
	if version.Has(kasconf.WebsocketTokenKey) {
		secret(s.KAS.Secrets.WebsocketToken, lockfile.WebsocketSecret)
	}
	return list
}

func below(dir, path string) bool {
	return len(path) > len(dir)+1 && path[:len(dir)+1] == dir+"/"
}

// dialable is the address under which this machine reaches its own listener.
func dialable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address // the spec was checked
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case host == "", err == nil && addr.IsUnspecified() && addr.Is4():
		return net.JoinHostPort("127.0.0.1", port)
	case err == nil && addr.IsUnspecified():
		return net.JoinHostPort("::1", port)
	default:
		return address
	}
}
