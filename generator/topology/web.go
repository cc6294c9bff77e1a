package topology

import "slices"

// Web is nginx's http{}: vhosts that end TLS and read HTTP, and port 80.
type Web struct {
	MaxConnections  int
	HTTP2Directive  bool // nginx has `http2 on`; before, it is a word of listen
	RejectHandshake bool // nginx has ssl_reject_handshake
	Redirect        *Redirect
	Sites           []Site
	Upstreams       []Backend
	Refusal         *Refusal // nil: every upgrade passes
}

// Redirect is port 80: ACME challenges, https for the rest.
type Redirect struct {
	Listen    []string // host:port
	Hosts     []string
	Challenge string // directory above .well-known; empty: Answers
	Answers   string // host:port of who answers challenges itself
}

// Site is a vhost.
type Site struct {
	Why         string // a line for people
	Host        string
	Listen      []string // host:port; sites of one listener agree in all but Host and Routes
	TLS         *TLS     // nil: cleartext
	HTTP2       bool     // spoken; in cleartext nothing else is
	AcceptProxy bool     // a PROXY header, of any version, is expected
	Trusted     []string // networks that may state a client's address
	RefuseNames bool     // other names in SNI are refused; where a balancer may send none, they are answered
	Routes      []Route
}

// Route is what becomes of requests below a path.
type Route struct {
	Path     string
	Exact    bool   // Path itself and nothing below it
	Why      string // a line for people
	Upstream string
	GRPC     bool // by HTTP/2, else by HTTP/1.1 with upgrades
	Strip    bool // Path becomes /
	Refuse   bool // as Web.Refusal says
	Status   int  // answered with Text instead of an upstream
	Text     string
}

// Refusal answers exec, attach and port-forward that are no WebSocket.
type Refusal struct {
	Prefix string // of the Kubernetes API proxy in a request's path
	Other  string // what to say to another upgrade
	None   string // what to say where there is no upgrade at all
}

// HTTP2 is a balancer that speaks HTTP/2 to agents and to kas.
type HTTP2 struct {
	Program        Program
	MaxConnections int
	Host           string
	Listen         []string // host:port
	AcceptProxy    bool     // a PROXY header, of any version, is expected
	TLS            *TLS     // nil: ended before
	Path           string   // prefix of what is let through
	Backend        Backend
}

// prune removes upstreams to which no route leads.
func (w *Web) prune() {
	w.Upstreams = slices.DeleteFunc(w.Upstreams, func(b Backend) bool {
		return !slices.ContainsFunc(w.Sites, func(s Site) bool {
			return slices.ContainsFunc(s.Routes, func(r Route) bool { return r.Upstream == b.Name })
		})
	})
}
