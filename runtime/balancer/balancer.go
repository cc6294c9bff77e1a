// Package balancer is the TCP load balancer under haproxy.cfg and nginx's
// stream{}: listeners, routing by the first bytes, pools of peers with health,
// and the relay of bytes between two connections. It knows neither file
// format: what differs between the two programs is a field of its types, and
// how a connection is routed is a function. Its law: bytes pass in order and
// whole, half-close included, and between two TCP connections they never enter
// user space once the route is known.
package balancer

import (
	"net"
	"net/netip"
	"time"

	"kasgen/runtime/certs"
)

// Config is one balancer. It is not changed once New has it.
type Config struct {
	Frontends []*Frontend
	// Pools is every pool that a Backend leads to, or that is checked.
	Pools []*Pool
	// MaxConn limits the clients of all frontends together; 0 is no limit.
	MaxConn int
	// Drain is what streams get after the listeners have closed; 0 is as
	// long as they want.
	Drain time.Duration
	// Served says which names clients ask for of which certificate, as far as
	// that is known.
	Served []certs.Served
}

// Frontend is what clients reach.
type Frontend struct {
	Name  string
	Binds []*Bind
	// MaxConn limits its clients; 0 is no limit. Further ones wait
	// unaccepted or unserved.
	MaxConn int
	// Header limits the wait for the PROXY header, Handshake the TLS
	// handshake; 0 is no limit.
	Header, Handshake time.Duration
	// Inspect is how long the first bytes are waited for. With 0, Route is
	// asked once, with what is there, and that is final.
	Inspect time.Duration
	// Peek is how many first bytes Route may see.
	Peek int
	// Route picks the backend. It is asked again with every byte until it
	// stops saying Wait, and holds no state.
	Route func(*View) Decision
	// Idle is the client's limit of inactivity, Fin the one after the
	// client was sent the end of the stream; 0 is no limit, Fin 0 is Idle.
	Idle, Fin time.Duration
	// LogConnections writes a line for every connection at the info level,
	// else only those that failed have one. SkipEmpty leaves out
	// connections that carried nothing.
	LogConnections, SkipEmpty bool
}

// Bind is one listening address of a frontend.
type Bind struct {
	// Network is tcp, or tcp4 or tcp6 where only that family is meant: Go's
	// tcp on 0.0.0.0 listens on both. Address is host:port.
	Network, Address string
	// AcceptProxy makes a PROXY header, version 1 or 2, the first thing
	// that every client must send.
	AcceptProxy bool
	// Trusted says whose PROXY header replaces the client's address; nil
	// trusts everyone. An untrusted header is read all the same.
	Trusted func(netip.Addr) bool
	// KeepLocal leaves the address that the client connected to as it is, as
	// nginx does, rather than taking that of the header, too.
	KeepLocal bool
	// TLS ends TLS here; nil passes bytes as they are.
	TLS *ServerTLS
	// KeepAlive changes the kernel's probes; nil leaves the Host's.
	KeepAlive *net.KeepAliveConfig
}

// Backend is where a route leads: a pool and how to use it. Two backends may
// share one pool.
type Backend struct {
	Name string
	Pool *Pool
	// Connect limits each connection attempt, Queue the wait for a peer that
	// is full; 0 is no limit.
	Connect, Queue time.Duration
	// Idle is the server's limit of inactivity, Fin the one after the
	// server was sent the end of the stream. Tunnel replaces Idle of both
	// sides once the stream runs. 0 is no limit, or not set.
	Idle, Fin, Tunnel time.Duration
	// OneTimer is nginx's proxy_timeout: one clock for both sides, and all
	// is closed when it runs out.
	OneTimer bool
	// HalfClose keeps the other direction open when one has ended. nginx
	// closes both unless proxy_half_close is on.
	HalfClose bool
	Retry     Retry
	// SendProxy is the version of the PROXY header for every peer: 1 or 2; 0
	// leaves it to the peer.
	SendProxy int
	KeepAlive *net.KeepAliveConfig
}

// Retry says what follows a failed connection attempt.
type Retry struct {
	// Retries is how many attempts may follow the first; -1 is one for each
	// further peer.
	Retries int
	// Delay is the pause before trying the same peer again.
	Delay time.Duration
	// Redispatch picks another peer: 0 never, -1 on the last retry, n on
	// every nth. Spread does so on every retry where more than one peer is
	// up, if Redispatch is not 0.
	Redispatch int
	Spread     bool
	// TryOnce never tries a peer twice for one client.
	TryOnce bool
	// Total is the time after which no further attempt begins; 0 is no limit.
	Total time.Duration
}

// Balance is the way a pool picks.
type Balance string

// The ways to pick.
const (
	RoundRobin Balance = "roundrobin" // nginx's
	// Rounds is HAProxy's roundrobin, and Ring its static-rr: by weight too,
	// in other orders.
	Rounds    Balance = "roundrobin in rounds"
	Ring      Balance = "static-rr"
	LeastConn Balance = "leastconn"
	// LeastConnTurns is HAProxy's: of those with as few, the one whose load
	// changed longest ago.
	LeastConnTurns Balance = "leastconn in turns"
	Source         Balance = "source" // HAProxy's, by the client's address
	First          Balance = "first"  // the first peer that has room
	KeyHash        Balance = "hash"   // nginx's `hash`, by the client's address
)

// Peer is one server of a pool.
type Peer struct {
	Name    string
	Address string
	Weight  int // 0 gets no new client
	Backup  bool
	Down    bool
	// MaxConn limits its connections; 0 is no limit.
	MaxConn   int
	SendProxy int
	TLS       *ClientTLS
	Check     *Check
	// MaxFails failures within FailTimeout take the peer out for
	// FailTimeout, as in nginx; 0 never does.
	MaxFails    int
	FailTimeout time.Duration
}

// Check is an active health check: a connection, TLS included where the peer
// has it.
type Check struct {
	Inter, FastInter, DownInter time.Duration
	Rise, Fall                  int
	Timeout                     time.Duration
	SendProxy                   bool
}
