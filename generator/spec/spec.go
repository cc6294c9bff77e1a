// Package spec owns kasgen.yaml, what a person writes: its types, defaults,
// the scalars that flags and variables override, and the rules. It knows no
// program that is configured from it. Its law: Read reports every fault at
// once, each with its place, and a spec without faults can be rendered.
package spec

import (
	"kasgen/internal/lockfile"
	"kasgen/internal/strictyaml"
)

// APIVersion is what Spec.APIVersion must say.
const APIVersion = "kasgen/v1"

// Spec is a whole kasgen.yaml.
type Spec struct {
	APIVersion   string       `json:"apiVersion"` // which keys the file has
	Topology     Topology     `json:"topology"`
	GitLab       GitLab       `json:"gitlab"`
	StateDir     string       `json:"stateDir"` // certificates and secrets; never part of a bundle
	Names        Names        `json:"names"`
	TLS          TLS          `json:"tls"`
	LoadBalancer LoadBalancer `json:"loadBalancer"`
	GRPCBalancer GRPCBalancer `json:"grpcBalancer"`
	HTTP         HTTP         `json:"http"`
	Edge         Edge         `json:"edge"`
	KAS          KAS          `json:"kas"`
	Agents       Agents       `json:"agents"`
	Migration    Migration    `json:"migration"`
	Timeouts     Timeouts     `json:"timeouts"`
	Nginx        Nginx        `json:"nginx"`
	// Suppress takes warnings as known, each with its reason.
	Suppress []Suppression `json:"suppress,omitempty"`
}

// GitLab is the instance that kas belongs to.
type GitLab struct {
	URL         string `json:"url"`         // where kas calls GitLab's internal API
	ExternalURL string `json:"externalURL"` // where people reach GitLab; empty: the origin of URL
	CAFile      string `json:"caFile"`      // PEM, where URL's certificate is of a private CA
}

// Names are the host names of kas.
type Names struct {
	KAS  string `json:"kas"`  // where agents, kubectl, Helm and CI jobs connect
	GRPC string `json:"grpc"` // of agents by gRPC, where the topology has two names; empty: KAS with "-grpc" behind its first label
}

// TLS is the certificate of Names and who provides it.
type TLS struct {
	Source          TLSSource `json:"source"`
	CertificateFile string    `json:"certificateFile"` // PEM, leaf first; empty: tls/kas.crt below StateDir
	KeyFile         string    `json:"keyFile"`         // PEM; empty: tls/kas.key below StateDir
	CombinedFile    string    `json:"combinedFile"`    // both in one, for HAProxy; empty: tls/kas.pem below StateDir
	MinVersion      string    `json:"minVersion"`      // "1.2" or "1.3"
	ACME            ACME      `json:"acme"`            // of source acme
	// Of the edge alone, where it ends TLS.
	SessionTickets *SessionTickets `json:"sessionTickets,omitempty"` // null: each edge makes its own keys
	ClientCA       *ClientCA       `json:"clientCA,omitempty"`       // null: no client is asked for a certificate
}

// SessionTickets is what edges encrypt session tickets with, so that a client
// resumes its session with any of them.
type SessionTickets struct {
	KeyFile string   `json:"keyFile"` // a secret of 32 random bytes or more, the same on all nodes
	Rotate  Duration `json:"rotate"`  // how long a key that follows from it encrypts; zero: 12h
}

// ClientCA is who signs the certificates that clients present.
type ClientCA struct {
	File     string `json:"file"`     // PEM
	Optional bool   `json:"optional"` // a client without a certificate passes too
}

// ACME is how certificates are obtained from a CA.
type ACME struct {
	Directory       string           `json:"directory"`       // URL of the CA; empty: Let's Encrypt's
	Staging         bool             `json:"staging"`         // Let's Encrypt's staging CA, which nobody trusts and whose limits are wide
	CAFile          string           `json:"caFile"`          // PEM, where the directory's own certificate is of a private CA
	Email           string           `json:"email"`           // that the CA may write to; empty: none
	ExternalAccount *ExternalAccount `json:"externalAccount"` // null: none
	KeyType         KeyType          `json:"keyType"`         // of the certificate's key
	Challenge       Challenge        `json:"challenge"`       // empty: tls-alpn-01 where the edge ends all TLS, else http-01 if port 80 is ours
	Webroot         string           `json:"webroot"`         // from which somebody else's server on port 80 answers http-01; empty: port 80 is ours
	Cache           ACMECache        `json:"cache"`
	Observability   string           `json:"observability"` // where readiness and metrics of certificates are served
}

// ExternalAccount binds the ACME account to one that the CA knows already.
type ExternalAccount struct {
	KeyID   string `json:"keyID"`   // by which the CA finds the key
	KeyFile string `json:"keyFile"` // MAC key in base64url, as the CA gave it
}

// ACMECache keeps account, certificates and their keys, for every replica.
type ACMECache struct {
	Directory string       `json:"directory"`        // empty: certs below StateDir
	Secret    *CacheSecret `json:"secret,omitempty"` // in place of a directory
	KeyFile   string       `json:"keyFile"`          // what is kept is encrypted with it; empty: it is kept in clear
}

// CacheSecret is a Secret of Kubernetes.
type CacheSecret struct {
	Name       string `json:"name"`       // it is made if it is not there
	Namespace  string `json:"namespace"`  // empty: the pod's own, or the kubeconfig's
	Kubeconfig string `json:"kubeconfig"` // empty: as a pod, by its service account
}

// LoadBalancer is what takes connections from the world.
type LoadBalancer struct {
	Kind                BalancerKind  `json:"kind"`                // empty: the topology's usual one
	TLS                 BalancerTLS   `json:"tls"`                 // empty: what is usual with Kind
	ALPN                BalancerALPN  `json:"alpn"`                // of external-tcp where it ends TLS
	Listen              []string      `json:"listen"`              // null: port 443, or 8080 where nginx takes cleartext
	ProxyProtocol       ProxyProtocol `json:"proxyProtocol"`       // sent to the edge; empty: the newest that Kind can send
	AcceptProxyProtocol ProxyProtocol `json:"acceptProxyProtocol"` // expected from a balancer before this one
	RealIPFrom          []string      `json:"realIPFrom"`          // networks whose X-Forwarded-For or PROXY header nginx believes
	Nodes               []string      `json:"nodes"`               // of several kas: their edges, or where nginx takes HTTP, their agent listeners; empty: this machine's
	Balance             Balance       `json:"balance"`
	MaxConnections      int           `json:"maxConnections"` // at once
	ShareWithGitLab     Share         `json:"shareWithGitLab"`
	HealthCheck         HealthCheck   `json:"healthCheck"`
}

// Share is how GitLab keeps its port when kas takes it: by the name in SNI.
type Share struct {
	Enabled       bool          `json:"enabled"`       // whether kas and GitLab share a port
	Address       string        `json:"address"`       // where GitLab's own web server listens
	Vhosts        string        `json:"vhosts"`        // where nginx's vhosts listen then, in topologies that have them
	ProxyProtocol ProxyProtocol `json:"proxyProtocol"` // what it expects; empty: none, or what the edge gets where a program cannot tell them apart
}

// HealthCheck is when a node is taken out and put back.
type HealthCheck struct {
	Interval Duration `json:"interval"` // between two checks
	Fall     int      `json:"fall"`     // failures until a node is taken out
	Rise     int      `json:"rise"`     // successes until it is put back
}

// GRPCBalancer takes Names.GRPC. It speaks HTTP/2 to agents and to kas.
type GRPCBalancer struct {
	Kind                BalancerKind    `json:"kind"`                // empty: the topology's usual one
	Address             BalancerAddress `json:"address"`             // empty: shared where it can be, unless Listen says otherwise
	Listen              []string        `json:"listen"`              // null: 127.0.0.1:9444 where the load balancer hands over
	TLS                 GRPCTLS         `json:"tls"`                 // empty: follows from who ends it
	AcceptProxyProtocol ProxyProtocol   `json:"acceptProxyProtocol"` // expected at an address of its own
	Nodes               []string        `json:"nodes"`               // agent listeners of several kas nodes; null: on the nodes of LoadBalancer
}

// HTTP is port 80: ACME challenges, and a redirect to https for the rest.
type HTTP struct {
	Listen []string `json:"listen"` // null: port 80 where it is free for us; empty: none
}

// Edge is the sniffing listener.
type Edge struct {
	Listen string `json:"listen"` // where the load balancer connects
}

// KAS is the agent server behind the edge.
type KAS struct {
	Kind       KASKind `json:"kind"`
	Version    string  `json:"version"`    // of GitLab's kas; decides which keys its file has
	PathPrefix string  `json:"pathPrefix"` // of the Kubernetes API proxy; every other path is of agents
	// StripPrefix takes PathPrefix off before kas, for one that expects none.
	StripPrefix bool    `json:"stripPrefix,omitempty"`
	Listen      Listen  `json:"listen"`
	Secrets     Secrets `json:"secrets"`
	Redis       *Redis  `json:"redis"` // null: none
}

// Listen are kas's listeners.
type Listen struct {
	Agent         string `json:"agent"`         // agents, by WebSocket and gRPC
	KubernetesAPI string `json:"kubernetesAPI"` // kubectl, Helm and CI jobs
	Observability string `json:"observability"` // liveness, readiness and metrics
	API           string `json:"api"`           // GitLab's Rails
	PrivateAPI    string `json:"privateAPI"`    // other kas
}

// Secrets are files; empty: below secrets/ in StateDir.
type Secrets struct {
	GitLab         string `json:"gitlab"`         // shared with GitLab; empty: secrets/gitlab
	API            string `json:"api"`            // of Listen.API; empty: secrets/api
	PrivateAPI     string `json:"privateAPI"`     // of Listen.PrivateAPI; empty: secrets/private_api
	WebsocketToken string `json:"websocketToken"` // for kas from 18; empty: secrets/websocket_token
}

// Redis is where several kas share their tunnels. One of Address and Sentinel
// is set.
type Redis struct {
	Address      string         `json:"address"`      // of Redis itself
	Sentinel     *RedisSentinel `json:"sentinel"`     // sentinels that know where Redis is; null: none
	Username     string         `json:"username"`     // empty: none
	PasswordFile string         `json:"passwordFile"` // empty: none
	KeyPrefix    string         `json:"keyPrefix"`    // before each key
	Database     uint16         `json:"database"`     // by number
	TLS          *RedisTLS      `json:"tls"`          // null: cleartext
}

// RedisSentinel finds Redis.
type RedisSentinel struct {
	Master       string   `json:"master"`       // by name
	Addresses    []string `json:"addresses"`    // of the sentinels
	PasswordFile string   `json:"passwordFile"` // of the sentinels; empty: none
}

// RedisTLS is TLS towards Redis.
type RedisTLS struct {
	CAFile          string `json:"caFile"`          // PEM, where the CA is private
	CertificateFile string `json:"certificateFile"` // PEM, of the client; empty: none
	KeyFile         string `json:"keyFile"`         // PEM, of the client; empty: none
}

// Agents is which agents are served.
type Agents struct {
	Websocket WebsocketAgents `json:"websocket"`
	// RemoveAfter is the day on which people mean to remove WebSocket. It is
	// written into the files and ends nothing by itself.
	RemoveAfter Date `json:"removeAfter"`
}

// Migration keeps what was there before.
type Migration struct {
	Keep []Kept `json:"keep"`
}

// Kept is an old listener that goes on beside the new ones, bytes untouched.
type Kept struct {
	Listen  string `json:"listen"`  // where it listens
	Backend string `json:"backend"` // where it passes to
}

// Timeouts are time limits.
type Timeouts struct {
	Connect   Duration `json:"connect"`   // of a dial
	Idle      Duration `json:"idle"`      // without a byte in either direction, at the balancer
	Drain     Duration `json:"drain"`     // that streams live on after SIGTERM
	Handshake Duration `json:"handshake"` // PROXY header and TLS
	Sniff     Duration `json:"sniff"`     // until the protocol is known
	Header    Duration `json:"header"`    // until a request head is complete
	Keepalive Duration `json:"keepalive"` // between requests of one connection
}

// Nginx is the nginx that stream.conf is for.
type Nginx struct {
	Version      string `json:"version"`      // decides which directives the files have
	StreamModule string `json:"streamModule"` // file for load_module; empty: compiled in
}

// Suppression takes a warning as known.
type Suppression struct {
	Code   string `json:"code"`   // of a warning about this file
	Field  string `json:"field"`  // the finding's field or one around it, or its file; empty: any
	Reason string `json:"reason"` // why the warning does not matter here
	Until  Date   `json:"until"`  // last day on which this holds; empty: for ever
}

// Digest identifies the spec with every default filled in. What is suppressed
// changes nothing that is rendered.
func (s *Spec) Digest() string {
	meant := *s
	meant.Suppress = nil
	return lockfile.Digest(strictyaml.Encode(meant, nil))
}
