// Package topology owns the facts of one way to reach kas: names, listeners,
// who ends TLS, routes, upstreams, time limits, certificates. It knows no file
// format. Its law: a Topology is made once by a constructor and never changed,
// and nobody else asks which letter it has.
package topology

import (
	"fmt"
	"time"

	"kasgen/generator/spec"
	"kasgen/internal/kasconf"
	"kasgen/internal/lockfile"
)

// Topology is everything that targets need to know.
type Topology struct {
	Name        string // for people; nothing is decided by it
	SpecDigest  string
	StateDir    string
	Names       lockfile.Names
	Carries     lockfile.Carries
	Front       *Front // TCP balancer; nil: somebody else's, or none
	HTTP2       *HTTP2 // balancer for gRPC in a program of its own; nil: none
	Web         *Web   // nginx's http{}; nil: none
	Edge        *Edge  // nil: none
	KAS         KAS
	Certs       *Certificates // obtained from a CA; nil: none are
	Readers     Readers
	Kept        *lockfile.Certificates // nil: no program of the front reads somebody else's files
	Timeouts    Timeouts
	Development []lockfile.Development
}

// Program is which TCP balancer a Front is written for.
type Program string

// The programs.
const (
	HAProxy Program = "haproxy"
	Nginx   Program = "nginx"
)

// Front is the TCP balancer.
type Front struct {
	Program        Program
	MaxConnections int
	StreamModule   string // of nginx, for load_module; empty: compiled in
	HalfClose      bool   // nginx knows proxy_half_close
	Frontends      []Frontend
	Backends       []Backend
}

// Frontend is where the balancer takes connections.
type Frontend struct {
	Name        string
	Why         string   // a line for people
	Listen      []string // host:port
	AcceptProxy bool     // a PROXY header, of any version, is expected
	TLS         *TLS     // nil: TLS passes through
	Validated   []Name   // whose handshakes with ALPN acme-tls/1 go elsewhere than Names say
	Names       []Name   // chosen by SNI, in order; from the first bytes where TLS passes through
	Default     string   // backend of every other name
}

// Name sends a name's connections to a backend.
type Name struct {
	Host    string
	Backend string
}

// TLS is how a listener ends TLS.
type TLS struct {
	CertificateFile string
	KeyFile         string
	CombinedFile    string   // both
	MinVersion      string   // "1.2" or "1.3"
	Tickets         *Tickets // nil: whoever ends TLS makes its own keys
	Clients         *Clients // nil: no client is asked for a certificate
	ALPN            []string // in order of preference
}

// Tickets is what session tickets are encrypted with.
type Tickets struct {
	KeyFile string
	Rotate  time.Duration
}

// Clients is who signs clients' certificates.
type Clients struct {
	CAFile   string
	Required bool
}

// ProxyHeader is the PROXY header that a backend gets.
type ProxyHeader string

// The headers.
const (
	NoHeader ProxyHeader = "none"
	HeaderV1 ProxyHeader = "v1"
	HeaderV2 ProxyHeader = "v2"
)

// Balance is how a server of a backend is chosen.
type Balance string

// The ways, by HAProxy's names.
const (
	RoundRobin Balance = "roundrobin"
	LeastConn  Balance = "leastconn"
	Source     Balance = "source"
)

// Backend is where the balancer sends connections.
type Backend struct {
	Name        string
	Why         string // a line for people
	Balance     Balance
	Servers     []Server
	ProxyHeader ProxyHeader
	Check       *Check // nil: servers are taken to be up
}

// Server is one machine of a backend.
type Server struct {
	Name    string
	Address string // host:port
}

// Check is when a server is taken out and put back.
type Check struct {
	Interval time.Duration
	Fall     int
	Rise     int
}

// Edge is the listener that looks at the first bytes.
type Edge struct {
	Listen      string
	ProxyHeader ProxyHeader // required before anything else
	TLS         *TLS        // nil: ended before
	ServerNames []string
	GRPC        string // upstream; empty refuses gRPC
	Paths       []Path
	Upstreams   []Upstream
}

// Path routes HTTP/1.1 requests.
type Path struct {
	Prefix      string
	Why         string // a line for people
	Upstream    string
	Upgrades    []string
	UpgradeOnly bool
	Strip       bool // Prefix is taken off
}

// Upstream is where the edge sends traffic.
type Upstream struct {
	Name    string
	Address string // host:port
}

// KAS is the agent server.
type KAS struct {
	GitLab          bool // GitLab's own program, not the embedded one
	External        bool // its file is somebody else's
	Version         kasconf.Version
	GitLabURL       string
	ExternalURL     string // origin for browsers
	GitLabCAFile    string
	Websocket       bool   // agents may come over WebSocket
	RemoveWebsocket string // the day on which people mean to remove it, or empty
	PathPrefix      string // of the Kubernetes API proxy, as it reaches kas
	PrefixNote      string // a line for people
	Listen          spec.Listen
	Secrets         spec.Secrets
	Redis           *spec.Redis // nil: none
}

// Timeouts are time limits.
type Timeouts struct {
	Connect, Idle, Drain, Handshake, Sniff, Header, Keepalive time.Duration
}

// New is the topology that a spec without faults asks for.
func New(s *spec.Spec) (Topology, error) {
	t, err := made(s)
	if err == nil {
		certificates(&t, s)
		readers(&t, s)
	}
	return t, err
}

func made(s *spec.Spec) (Topology, error) {
	switch s.Topology {
	case spec.TopologyA:
		return A(s)
	case spec.TopologyB:
		return B(s)
	case spec.TopologyD:
		return D(s)
	case spec.TopologyPackaged:
		return Packaged(s)
	default:
		return Topology{}, fmt.Errorf("topology %q cannot be made", s.Topology)
	}
}
