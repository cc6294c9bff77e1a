package spec

import (
	"net/url"
	"path"
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
		Topology: TopologyA, // the only one yet
		StateDir: "/var/lib/kasgen",
		TLS: TLS{
			Source:     TLSFiles, // what an instance has; a development CA must be asked for
			MinVersion: "1.2",    // agentk and kubectl of every supported version; RFC 8996 ended 1.1
		},
		LoadBalancer: LoadBalancer{
			Kind:                HAProxy,     // active health checks, and PROXY v2 in both directions
			TLS:                 Passthrough, // the key stays with the edge, on one machine
			Listen:              []string{"0.0.0.0:443"},
			AcceptProxyProtocol: ProxyNone, // a header from just anyone would let them state any address
			Balance:             LeastConn, // connections last for hours, so taking turns leaves a restarted node empty
			MaxConnections:      20000,     // 10,000 agents and as many clients; HAProxy holds an idle one in 18 KiB
			ShareWithGitLab:     Share{Address: "127.0.0.1:8443"},
			HealthCheck:         HealthCheck{Interval: Duration(5 * time.Second), Fall: 3, Rise: 2}, // out after 15 s, as long as agentk waits before it tries again
		},
		Edge: Edge{Listen: "127.0.0.1:9443"}, // behind a balancer on the same machine
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
	lb := &s.LoadBalancer
	if lb.ProxyProtocol == "" {
		switch lb.Kind {
		case HAProxy:
			lb.ProxyProtocol = ProxyV2 // binary: shorter, and it states the family
		case NginxStream:
			lb.ProxyProtocol = ProxyV1 // nginx's stream module sends no other
		default:
			lb.ProxyProtocol = ProxyNone // nobody knows what somebody else's balancer sends
		}
	}
	if share := &lb.ShareWithGitLab; share.ProxyProtocol == "" {
		share.ProxyProtocol = ProxyNone // GitLab's nginx expects none unless told so
		if lb.Kind == NginxStream {
			share.ProxyProtocol = lb.ProxyProtocol // one server block sends one header to all
		}
	}
}
