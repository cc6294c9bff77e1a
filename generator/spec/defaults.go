package spec

import (
	"net"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Example is the spec that stands in for a missing kasgen.yaml: one machine,
// runnable by itself.
const Example = `apiVersion: kasgen/v1
topology: A
gitlab:
  url: https://example.com
names:
  kas: kas.example.com
tls:
  source: developmentCA
`

// Default is what a kasgen.yaml may leave out. GitLab's URL and kas's name
// have no default: a guess would be wrong on every instance.
func Default() Spec {
	return Spec{
		Topology: TopologyA, // one name and one certificate, and it carries everything
		StateDir: "/var/lib/kasgen",
		TLS: TLS{
			Source:     TLSFiles, // what an instance has; a development CA must be asked for
			MinVersion: "1.2",    // agentk and kubectl of every supported version; RFC 8996 ended 1.1
			ACME: ACME{
				KeyType:       ECDSA256,         // every client since TLS 1.2 knows it, and it signs 30 times as fast as RSA
				Observability: "127.0.0.1:8156", // beside kas's own
			},
		},
		LoadBalancer: LoadBalancer{
			ALPN:                ALPNNegotiated,
			AcceptProxyProtocol: ProxyNone, // a header from just anyone would let them state any address
			Balance:             LeastConn, // connections last for hours, so taking turns leaves a restarted node empty
			MaxConnections:      20000,     // 10,000 agents and as many clients; HAProxy holds an idle one in 18 KiB
			ShareWithGitLab:     Share{Address: "127.0.0.1:8443", Vhosts: "127.0.0.1:9443"},
			HealthCheck:         HealthCheck{Interval: Duration(5 * time.Second), Fall: 3, Rise: 2}, // out well before agentk tries again, after 15 s
		},
		GRPCBalancer: GRPCBalancer{AcceptProxyProtocol: ProxyNone},
		Edge:         Edge{Listen: "127.0.0.1:9443"}, // behind a balancer on the same machine
		KAS: KAS{
			Kind:       KASEmbedded, // runs without Redis and without GitLab's packages
			Version:    "18.5.0",
			PathPrefix: "/k8s-proxy", // what the GitLab chart and Omnibus's kas vhost use
			Listen: Listen{ // GitLab's own ports
				Agent:         "127.0.0.1:8150",
				KubernetesAPI: "127.0.0.1:8154",
				Observability: "127.0.0.1:8151",
				API:           "127.0.0.1:8153",
				PrivateAPI:    "127.0.0.1:8155",
			},
		},
		Agents: Agents{Websocket: WebsocketKeep}, // nobody is cut off by default
		Timeouts: Timeouts{
			Connect:   Duration(5 * time.Second),  // as Omnibus's vhost does for the proxy
			Idle:      Duration(2 * time.Hour),    // as Omnibus's vhost does for kubectl; agents ping each minute
			Drain:     Duration(30 * time.Second), // agents come back at once; long enough for a kubectl cp of some MiB
			Handshake: Duration(10 * time.Second), // three retransmissions of a lost SYN fit
			Sniff:     Duration(10 * time.Second), // nobody who speaks first is silent longer
			Header:    Duration(10 * time.Second), // a slow reader of RFC 9112 heads, still no slowloris
			Keepalive: Duration(60 * time.Second), // as nginx's keepalive_timeout of 75 s, rounded down
		},
		Nginx: Nginx{
			Version:      "1.22.1",                       // Debian 12
			StreamModule: "modules/ngx_stream_module.so", // Debian builds stream as a module
		},
	}
}

// resolve fills in what follows from other fields.
func (s *Spec) resolve() {
	below := func(field *string, name string) {
		if *field == "" {
			*field = path.Join(s.StateDir, name)
		}
	}
	s.resolveOmnibus()
	below(&s.TLS.CertificateFile, "tls/kas.crt")
	below(&s.TLS.KeyFile, "tls/kas.key")
	below(&s.TLS.CombinedFile, "tls/kas.pem")
	below(&s.KAS.Secrets.GitLab, "secrets/gitlab")
	below(&s.KAS.Secrets.API, "secrets/api")
	below(&s.KAS.Secrets.PrivateAPI, "secrets/private_api")
	below(&s.KAS.Secrets.WebsocketToken, "secrets/websocket_token")
	if s.GitLab.ExternalURL == "" {
		if u, err := url.Parse(s.GitLab.URL); err == nil && u.Host != "" {
			s.GitLab.ExternalURL = u.Scheme + "://" + u.Host
		}
	}
	if s.TLS.ACME.Cache.Secret == nil {
		below(&s.TLS.ACME.Cache.Directory, "certs")
	}
	if t := s.TLS.SessionTickets; t != nil && t.Rotate == 0 {
		t.Rotate = Duration(12 * time.Hour) // a ticket serves for a working day, and what a key gives away is bounded by two of these
	}
	s.resolveBalancer()
	s.resolveGRPC()
	if s.HTTP.Listen == nil && !s.LoadBalancer.Kind.External() && !s.LoadBalancer.ShareWithGitLab.Enabled {
		// Where GitLab's web server gave up 443 it still has 80, and somebody
		// else's balancer redirects by itself.
		s.HTTP.Listen = []string{"0.0.0.0:80"}
	}
	s.resolveACME()
}

// resolveOmnibus fills in where Omnibus keeps what Let's Encrypt gave it: with
// GitLab's own name, all names being in one certificate.
func (s *Spec) resolveOmnibus() {
	gitlab := s.GitLab.ExternalURL
	if gitlab == "" {
		gitlab = s.GitLab.URL
	}
	u, err := url.Parse(gitlab)
	if err != nil || s.TLS.Source != TLSOmnibus {
		return
	}
	if s.TLS.CertificateFile == "" {
		s.TLS.CertificateFile = "/etc/gitlab/ssl/" + u.Hostname() + ".crt"
	}
	if s.TLS.KeyFile == "" {
		s.TLS.KeyFile = "/etc/gitlab/ssl/" + u.Hostname() + ".key"
	}
}

// resolveBalancer fills in what follows from the topology and the kind.
func (s *Spec) resolveBalancer() {
	lb := &s.LoadBalancer
	if lb.Kind == "" {
		lb.Kind = s.Topology.shape().balancers[0]
	}
	if lb.TLS == "" {
		switch lb.Kind {
		case NginxHTTP:
			lb.TLS = Terminate // vhosts end it, there is no other way
		case ExternalHTTP, ExternalHTTP2:
			lb.TLS = Reencrypt // tokens never cross the network in clear
		default:
			lb.TLS = Passthrough // the key stays with the edge, on one machine
		}
	}
	if lb.Listen == nil {
		lb.Listen = []string{"0.0.0.0:443"}
		if lb.Kind.ExternalHTTP() && lb.TLS == Terminate {
			lb.Listen = []string{"0.0.0.0:8080"} // cleartext on 443 would mislead, and 80 redirects
		}
	}
	if lb.ProxyProtocol == "" {
		switch {
		case lb.Kind == HAProxy:
			lb.ProxyProtocol = ProxyV2 // binary: shorter, and it states the family
		case s.stream():
			lb.ProxyProtocol = ProxyV1 // nginx's stream module sends no other
		default:
			lb.ProxyProtocol = ProxyNone // nobody knows what somebody else's balancer sends
		}
	}
	if share := &lb.ShareWithGitLab; share.ProxyProtocol == "" {
		share.ProxyProtocol = ProxyNone // GitLab's nginx expects none unless told so
		if s.stream() {
			share.ProxyProtocol = lb.ProxyProtocol // one server block sends one header to all
		}
	}
}

// resolveGRPC fills in the second name and its balancer, where the topology
// has them.
func (s *Spec) resolveGRPC() {
	sh, lb, g := s.Topology.shape(), s.LoadBalancer, &s.GRPCBalancer
	if len(sh.grpc) == 0 {
		return
	}
	if label, rest, ok := strings.Cut(s.Names.KAS, "."); s.Names.GRPC == "" && ok {
		s.Names.GRPC = label + "-grpc." + rest
	}
	if g.Kind == "" {
		g.Kind = sh.grpc[0]
		if lb.Kind == NginxStream {
			g.Kind = NginxHTTP // one program to run
		}
	}
	if g.Address == "" {
		g.Address = AddressOwn
		if s.shareable() && (len(g.Listen) == 0 || !sh.vhosts && allLoopback(g.Listen)) {
			g.Address = AddressShared
		}
	}
	if g.TLS == "" {
		g.TLS = GRPCTerminate
		if s.endedBefore() {
			g.TLS = GRPCCleartext
		}
	}
	if g.Listen == nil {
		switch {
		case g.Kind.External(), sh.vhosts && g.Address == AddressShared: // it opens no listener of its own
		case g.Address == AddressShared:
			g.Listen = []string{"127.0.0.1:9444"} // beside the edge
		case lb.Kind.External() && !(sh.vhosts && lb.TLS == Reencrypt):
			g.Listen = []string{"0.0.0.0:443"} // nothing of ours has it
		}
	}
	if g.Nodes == nil {
		g.Nodes = s.grpcNodes()
	}
}

// stream says whether nginx's stream module passes the connections on.
func (s *Spec) stream() bool {
	lb := s.LoadBalancer
	return lb.Kind == NginxStream || lb.Kind == NginxHTTP && s.Topology.shape().vhosts && lb.ShareWithGitLab.Enabled
}

// shareable says whether the gRPC balancer can have the load balancer's
// address: behind a TCP balancer of ours, or as the same nginx, unless that
// takes cleartext from an HTTP balancer, which agents by gRPC go past.
func (s *Spec) shareable() bool {
	lb := s.LoadBalancer
	if s.Topology.shape().vhosts {
		return s.GRPCBalancer.Kind == NginxHTTP && !(lb.Kind.ExternalHTTP() && lb.TLS == Terminate)
	}
	return !lb.Kind.External() && !s.GRPCBalancer.Kind.External()
}

// endedBefore says whether a TCP balancer ends the TLS of both names.
func (s *Spec) endedBefore() bool {
	return s.GRPCBalancer.Address == AddressShared && !s.Topology.shape().vhosts && s.LoadBalancer.TLS == Terminate
}

// grpcNodes are the agent listeners on the load balancer's nodes.
func (s *Spec) grpcNodes() []string {
	if s.Topology.shape().vhosts {
		return slices.Clone(s.LoadBalancer.Nodes)
	}
	agent, err := parseEndpoint(s.KAS.Listen.Agent)
	if err != nil {
		return nil // reported
	}
	var nodes []string
	for _, node := range s.LoadBalancer.Nodes {
		if e, err := parseEndpoint(node); err == nil {
			nodes = append(nodes, net.JoinHostPort(e.host, strconv.Itoa(int(agent.port))))
		}
	}
	return nodes
}

func allLoopback(addresses []string) bool {
	return !slices.ContainsFunc(addresses, func(a string) bool {
		e, err := parseEndpoint(a)
		return err != nil || !e.loopback()
	})
}
