// Package cloud says what balancers of clouds do, as far as their vendors'
// documentation tells. It neither listens nor dials: the lab makes a balancer of
// a model. Its law: what no document says is unknown, and what a model does not
// do although a document says it is told.
package cloud

import (
	"slices"
	"time"
)

// Kind is what a balancer looks at and what it speaks to its backend.
type Kind string

// The kinds.
const (
	HTTP1 Kind = "http1" // ends TLS, speaks HTTP/1.1 to its backend
	HTTP2 Kind = "http2" // ends TLS, speaks HTTP/2 to its backend
	TCP   Kind = "tcp"   // passes connections through
	TLS   Kind = "tls"   // ends TLS, passes cleartext connections on
)

// Model is a cloud's balancer as far as its documentation tells.
type Model struct {
	Name  string
	Title string
	Kind  Kind
	// ALPN is what it negotiates where it ends TLS, the preferred first; nil:
	// nothing, and what HTTP needs where it speaks HTTP.
	ALPN []string
	// Reencrypt has a balancer that ends TLS speak TLS to its backend, which it
	// does not verify.
	Reencrypt bool
	Limits    []Limit
}

// Limit is one thing that a balancer does not do, or not for longer than it
// says. One without Life and Idle is about what passes.
type Limit struct {
	What   string        `json:"what"`
	Source string        `json:"source"` // where it is documented; empty: unknown
	Done   bool          `json:"done"`   // the model does it
	Life   time.Duration `json:"-"`      // of a request with its answer, silent or not
	Idle   time.Duration `json:"-"`      // that a connection may be silent
}

const (
	google = "https://cloud.google.com/load-balancing/docs/https"
	// googleLimit counts from the first byte of a request to the last of its
	// answer.
	googleLimit = google + "#timeout-bes"

	albRules  = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-listeners.html"
	albIdle   = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html"
	albGroups = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-target-groups.html"
	nlbRules  = "https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-listeners.html"
	nlbIdle   = "https://docs.aws.amazon.com/elasticloadbalancing/latest/network/update-idle-timeout.html"

	alpnPolicy = "https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_elasticloadbalancingv2.AlpnPolicy.html"
)

// Models are those that there are.
func Models() []Model {
	return []Model{
		{
			Name: "gke-http", Title: "Google's HTTP(S) load balancer, HTTP/1.1 to its backend", Kind: HTTP1,
			Limits: []Limit{
				{What: "an upgrade to WebSocket passes, any other does not", Source: google, Done: true},
				{What: "a request with its whole answer has the backend service's time limit, 30 s by default, and an upgraded connection no more, silent or not", Source: googleLimit, Done: true, Life: 30 * time.Second},
				{What: "gRPC needs HTTP/2 to the backend", Source: google, Done: true},
			},
		},
		{
			Name: "gke-http2", Title: "Google's HTTP(S) load balancer, HTTP/2 to its backend", Kind: HTTP2,
			Limits: []Limit{
				{What: "nothing is upgraded in HTTP/2", Source: google, Done: true},
				{What: "a request with its whole answer has the backend service's time limit, 30 s by default, silent or not", Source: googleLimit, Done: true, Life: 30 * time.Second},
				{What: "whether gRPC streams have another limit; the model gives them the same"},
			},
		},
		{
			Name: "alb", Title: "AWS's Application Load Balancer, HTTP/1.1 to its target", Kind: HTTP1,
			Limits: []Limit{
				{What: "an upgrade to WebSocket passes", Source: albRules, Done: true},
				{What: "whether an upgrade to SPDY passes; the model does not let it, as users report", Done: true},
				{What: "a connection may be silent for 60 s by default", Source: albIdle, Done: true, Idle: time.Minute},
			},
		},
		{
			Name: "alb-grpc", Title: "AWS's Application Load Balancer, HTTP/2 or gRPC to its target", Kind: HTTP2,
			Limits: []Limit{
				{What: "no WebSocket where the target group speaks HTTP/2 or gRPC", Source: albGroups, Done: true},
				{What: "a connection may be silent for 60 s by default", Source: albIdle, Done: true, Idle: time.Minute},
			},
		},
		{
			Name: "nlb-tcp", Title: "AWS's Network Load Balancer, TCP listener", Kind: TCP,
			Limits: []Limit{
				{What: "everything passes as it comes", Source: nlbRules, Done: true},
				{What: "a connection may be silent for 350 s by default, 60 to 6,000 s as set", Source: nlbIdle, Done: true, Idle: 350 * time.Second},
				{What: "how a silent connection ends: the real one forgets it and answers the next packet with a reset, the model closes it", Source: nlbRules},
			},
		},
		{
			Name: "nlb-tls", Title: "AWS's Network Load Balancer, TLS listener, TCP target group", Kind: TLS,
			Limits: []Limit{
				{What: "a connection may be silent for 350 s, which cannot be set", Source: nlbIdle, Done: true, Idle: 350 * time.Second},
				{What: "client certificates are not asked for", Source: nlbRules, Done: true},
				{What: "whether an ALPN policy counts where targets get cleartext; the model negotiates none"},
			},
		},
		{
			Name: "nlb-tls-tls", Title: "AWS's Network Load Balancer, TLS listener with ALPN policy HTTP2Optional, TLS target group", Kind: TLS,
			ALPN: []string{"http/1.1", "http/1.0", "h2"}, Reencrypt: true,
			Limits: []Limit{
				{What: "http/1.1 is preferred to h2", Source: alpnPolicy, Done: true},
				{What: "a connection may be silent for 350 s, which cannot be set", Source: nlbIdle, Done: true, Idle: 350 * time.Second},
				{What: "whether the target is offered what the client has chosen; the model offers it the whole policy"},
			},
		},
	}
}

// Names are the models' names.
func Names() []string {
	var names []string
	for _, m := range Models() {
		names = append(names, m.Name)
	}
	return names
}

// Find is the model of that name.
func Find(name string) (Model, bool) {
	all := Models()
	if i := slices.IndexFunc(all, func(m Model) bool { return m.Name == name }); i >= 0 {
		return all[i], true
	}
	return Model{}, false
}

// Life is how long a request may take with its answer, and with the connection
// that it becomes; 0: as long as it likes.
func (m Model) Life() time.Duration { return m.first(func(l Limit) time.Duration { return l.Life }) }

// Idle is how long a connection may be silent; 0: for ever.
func (m Model) Idle() time.Duration { return m.first(func(l Limit) time.Duration { return l.Idle }) }

func (m Model) first(of func(Limit) time.Duration) time.Duration {
	for _, l := range m.Limits {
		if d := of(l); d > 0 {
			return d
		}
	}
	return 0
}

// String is the limit with where it is documented, and whether the model has it.
func (l Limit) String() string {
	source, done := "unknown: no document says", ""
	if l.Source != "" {
		source = l.Source
	}
	if !l.Done {
		done = "; the model does not do it"
	}
	return l.What + " (" + source + done + ")"
}
