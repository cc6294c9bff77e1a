package spec

import (
	"time"

	"kasgen/internal/strictyaml"
)

// TLSSource is who provides the certificate.
type TLSSource string

// The sources.
const (
	TLSFiles         TLSSource = "files"
	TLSDevelopmentCA TLSSource = "developmentCA"
	TLSACME          TLSSource = "acme"
	TLSBalancer      TLSSource = "balancer" // somebody else's, which ends TLS for every name
	TLSOmnibus       TLSSource = "omnibus"  // Omnibus, from Let's Encrypt with GitLab's own
)

// KeyType is the kind of a certificate's key.
type KeyType string

// The kinds of keys.
const (
	ECDSA256 KeyType = "ecdsa256"
	ECDSA384 KeyType = "ecdsa384"
	RSA2048  KeyType = "rsa2048"
	RSA4096  KeyType = "rsa4096"
)

// Challenge is how a CA is shown that a name is ours.
type Challenge string

// The challenges.
const (
	TLSALPN01 Challenge = "tls-alpn-01" // in a TLS handshake at the edge
	HTTP01    Challenge = "http-01"     // on port 80, from nginx
)

// BalancerKind is which program balances.
type BalancerKind string

// The kinds. The external ones belong to somebody else, and nothing is
// rendered for them.
const (
	HAProxy       BalancerKind = "haproxy"
	NginxStream   BalancerKind = "nginx-stream"
	NginxHTTP     BalancerKind = "nginx" // its http{}: it ends TLS and reads HTTP
	ExternalTCP   BalancerKind = "external-tcp"
	ExternalHTTP  BalancerKind = "external-http"
	ExternalHTTP2 BalancerKind = "external-http2"
)

// balancerKinds lists every kind of load balancer.
func balancerKinds() []BalancerKind {
	return []BalancerKind{HAProxy, NginxStream, NginxHTTP, ExternalTCP, ExternalHTTP, ExternalHTTP2}
}

// External says whether somebody else runs the balancer.
func (k BalancerKind) External() bool {
	return k == ExternalTCP || k == ExternalHTTP || k == ExternalHTTP2
}

// HTTP says whether it reads HTTP instead of passing bytes.
func (k BalancerKind) HTTP() bool { return k == NginxHTTP || k.ExternalHTTP() }

// ExternalHTTP says whether it is somebody else's and reads HTTP.
func (k BalancerKind) ExternalHTTP() bool { return k == ExternalHTTP || k == ExternalHTTP2 }

// BalancerTLS is what the balancer does with TLS.
type BalancerTLS string

// The choices.
const (
	Passthrough BalancerTLS = "passthrough"
	Terminate   BalancerTLS = "terminate" // what is behind it gets cleartext
	Reencrypt   BalancerTLS = "reencrypt" // it ends TLS and speaks TLS again to what is behind it
)

// BalancerALPN is whether a balancer that ends TLS negotiates a protocol.
type BalancerALPN string

// The choices.
const (
	ALPNNegotiated BalancerALPN = "negotiated" // http/1.1 and h2, in this order
	ALPNNone       BalancerALPN = "none"
)

// BalancerAddress is whose address the gRPC balancer has.
type BalancerAddress string

// The choices.
const (
	AddressShared BalancerAddress = "shared" // the load balancer's, told apart by the name in SNI
	AddressOwn    BalancerAddress = "own"
)

// GRPCTLS is what the gRPC balancer's listener takes.
type GRPCTLS string

// The choices.
const (
	GRPCTerminate GRPCTLS = "terminate"
	GRPCCleartext GRPCTLS = "cleartext" // TLS has ended before it
)

// ProxyProtocol is a PROXY protocol version.
type ProxyProtocol string

// The versions.
const (
	ProxyNone ProxyProtocol = "none"
	ProxyV1   ProxyProtocol = "v1"
	ProxyV2   ProxyProtocol = "v2"
)

// Balance is how a node is chosen.
type Balance string

// The ways.
const (
	RoundRobin Balance = "roundrobin"
	LeastConn  Balance = "leastconn"
	SourceIP   Balance = "source"
)

// KASKind is whose kas runs.
type KASKind string

// The kinds.
const (
	KASGitLab   KASKind = "gitlab"
	KASEmbedded KASKind = "embedded"
	KASExternal KASKind = "external" // GitLab's, and an installer of its own writes its file
)

// WebsocketAgents says what becomes of agents that use WebSocket.
type WebsocketAgents string

// The choices.
const (
	WebsocketKeep   WebsocketAgents = "keep"
	WebsocketRemove WebsocketAgents = "remove"
)

// Duration is written as Go writes it: "10s", "1h30m".
type Duration time.Duration

// MarshalText writes d as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return &strictyaml.ValueError{What: "a duration is a number with a unit", Fix: "write it like 500ms, 30s, 5m or 2h"}
	}
	*d = Duration(v)
	return nil
}

// Date is a day, "2027-01-31", or empty.
type Date string

// UnmarshalText reads a day.
func (d *Date) UnmarshalText(text []byte) error {
	if _, err := time.Parse(time.DateOnly, string(text)); err != nil && len(text) > 0 {
		return &strictyaml.ValueError{What: "a date is year-month-day", Why: "so that it means the same everywhere (ISO 8601)", Fix: "write it like 2027-01-31"}
	}
	*d = Date(text)
	return nil
}
