// Package edgeconf owns edge.yaml: the types, the strict reader and the writer.
// The edge is the listener that ends TLS for a kas, looks at the first bytes
// of each connection and hands it to the right place. The package knows
// nothing of what renders the file or of what listens. Its law: what it
// writes it reads back to the same value, and a key it does not know is a
// finding with a place.
package edgeconf

import "time"

// File is a whole edge.yaml.
type File struct {
	APIVersion string     `json:"apiVersion"` // APIVersion
	Kind       string     `json:"kind"`       // Kind
	Listeners  []Listener `json:"listeners"`
	Upstreams  []Upstream `json:"upstreams"`
	Drain      Duration   `json:"drain"` // how long streams live on after SIGTERM
}

// What File.APIVersion and File.Kind must say.
const (
	APIVersion = "kasgen/v1"
	Kind       = "Edge"
)

// Listener is one address that takes connections.
type Listener struct {
	Name          string        `json:"name"`
	Address       string        `json:"address"` // host:port; an empty host is every address
	ProxyProtocol ProxyProtocol `json:"proxyProtocol"`
	TLS           *TLS          `json:"tls,omitempty"` // nil: cleartext, TLS ended before
	ServerNames   []string      `json:"serverNames"`   // names served here; SNI, where a client sends it, must be one of them; empty serves any
	Limits        Limits        `json:"limits"`
	Routes        Routes        `json:"routes"`
}

// ProxyProtocol says which PROXY protocol header a connection must begin with.
type ProxyProtocol string

// The values of ProxyProtocol.
const (
	ProxyNone ProxyProtocol = "none"
	ProxyV1   ProxyProtocol = "v1"
	ProxyV2   ProxyProtocol = "v2"
)

// TLS is how a listener ends TLS.
type TLS struct {
	CertificateFile string   `json:"certificateFile"` // PEM, leaf first
	KeyFile         string   `json:"keyFile"`         // PEM
	MinVersion      string   `json:"minVersion"`      // "1.2" or "1.3"
	ALPN            []string `json:"alpn"`            // in order of preference
	// SessionTickets is nil where each process makes its own keys: then a client
	// resumes its session only with the process that it began with.
	SessionTickets *SessionTickets `json:"sessionTickets,omitempty"`
	ClientCA       *ClientCA       `json:"clientCA,omitempty"` // nil: no client is asked for a certificate
}

// SessionTickets is what processes encrypt session tickets with, so that a
// client resumes its session with any of them (RFC 8446, section 4.6.1).
type SessionTickets struct {
	KeyFile string   `json:"keyFile"` // a secret of 32 bytes or more, the same for all; keys are derived from it and the time
	Rotate  Duration `json:"rotate"`  // how long a key encrypts; it decrypts for as long again
}

// ClientCA is who signs the certificates that clients present.
type ClientCA struct {
	File     string `json:"file"`     // PEM
	Required bool   `json:"required"` // false: a client without a certificate passes, one with a wrong one does not
}

// Limits bound what a client may hold before it has been understood.
type Limits struct {
	Handshake      Duration `json:"handshake"`      // PROXY header and TLS handshake together
	Sniff          Duration `json:"sniff"`          // until the protocol is known
	Header         Duration `json:"header"`         // until a request head is complete
	MaxHeaderBytes int      `json:"maxHeaderBytes"` // of one request head
	Idle           Duration `json:"idle"`           // between requests of one connection; never cuts an upgraded stream or gRPC
}

// Routes say where traffic goes once it is known what it is.
type Routes struct {
	GRPC  string `json:"grpc,omitempty"` // upstream for connections that open with the HTTP/2 preface; empty refuses them
	Paths []Path `json:"paths"`          // for HTTP/1.1; the longest prefix that matches wins
}

// Path routes HTTP/1.1 requests by prefix. The prefix matches itself and
// everything below it ("/k8s-proxy" matches /k8s-proxy and /k8s-proxy/x, not
// /k8s-proxyx).
type Path struct {
	Prefix   string `json:"prefix"`
	Upstream string `json:"upstream"`
	// Upgrades lists the Upgrade tokens let through ("websocket",
	// "SPDY/3.1"); any other upgrade is answered with 400.
	Upgrades []string `json:"upgrades"`
	// Strip takes the prefix off the path, for an upstream that does not know it.
	Strip bool `json:"strip,omitempty"`
	// UpgradeOnly answers 426 to a request that asks for no upgrade.
	UpgradeOnly bool `json:"upgradeOnly,omitempty"`
}

// Upstream is where the edge sends traffic.
type Upstream struct {
	Name    string       `json:"name"`
	Address string       `json:"address"` // host:port
	TLS     *UpstreamTLS `json:"tls,omitempty"`
	Connect Duration     `json:"connect"` // time limit of a dial
}

// UpstreamTLS is how the edge dials an upstream that ends TLS itself.
type UpstreamTLS struct {
	CAFile     string `json:"caFile,omitempty"` // PEM; empty: the system's roots
	ServerName string `json:"serverName"`
}

// Duration is written as Go writes it: "10s", "1h30m".
type Duration time.Duration

// MarshalText writes d as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads, and refuses what is negative.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return err
	}
	if v < 0 {
		return errNegative
	}
	*d = Duration(v)
	return nil
}
