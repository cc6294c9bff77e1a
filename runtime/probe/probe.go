// Package probe owns the proof of a path: what clients of a kas would meet on
// it, layer by layer from the outside in, and what to change where it breaks.
// It comes as any client does, over the network, and knows neither topology
// nor who runs the other end; a bundle, where it gets one, is only read: to say
// which line is likely to blame, and what a reload of its files would end. Its
// law: a check is pass, warn, fail or skip by what was observed, a skip says why
// and is never a pass, and no credential goes over a connection whose
// certificate does not hold.
package probe

import (
	"context"
	"crypto/x509"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"kasgen/internal/diag"
)

// Options are what to prove, and with what.
type Options struct {
	KAS  *url.URL // https://kas.example.com, or with the path of the agents' location
	GRPC *url.URL // grpcs://kas-grpc.example.com; nil: the name of KAS
	// ProxyPath is where the Kubernetes API proxy is; empty: k8s-proxy/ below
	// the path of KAS.
	ProxyPath string
	// Connect is where to connect instead of what a name resolves to, by name;
	// "" is for every name without its own.
	Connect       map[string]string
	ProxyProtocol string            // "", "v1" or "v2": sent before TLS
	Roots         *x509.CertPool    // nil: the system's
	Development   *x509.Certificate // a CA among Roots that a bundle made for itself; nil: none
	Token         string            // a bearer token of the proxy, as kubeconfig files have it; never printed
	AgentToken    string            // an agent's own; never printed
	Namespace     string            // with Pod
	Pod           string            // one to exec into; "": none
	Bundle        *Bundle           // nil: none
	Skip          []ID              // not tried
	Idle          time.Duration     // how long a silent stream is watched; 0: not at all
	Timeout       time.Duration     // of one exchange
	Watch         time.Duration     // of a watch, whole seconds
	Now           func() time.Time
}

// DefaultTimeout is longer than any front needs to answer, and than the 5 s in
// which nginx and HAProxy give a dead kas up as kasgen writes them.
const DefaultTimeout = 10 * time.Second

// DefaultWatch is long enough to tell a first event from the end.
const DefaultWatch = 6 * time.Second

// bodySize is three times the limit that nginx has unless told otherwise.
const bodySize = 3 << 20

// Run makes every check. It returns what it saw so far when ctx ends, with the
// rest skipped.
func Run(ctx context.Context, o Options) *Report {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Watch == 0 {
		o.Watch = DefaultWatch
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := newSession(o)
	r := &Report{Target: o.KAS.String()}
	if o.GRPC != nil {
		r.GRPC = o.GRPC.String()
	}
	broken := map[key]string{} // what cannot be tried any more, and because of what
	for _, group := range together(s.plan()) {
		for i, c := range s.tryAll(ctx, group, broken) {
			l := group[i]
			if o.Bundle != nil {
				o.Bundle.judge(&c)
			}
			c.Layer, c.ID, c.Name = l.id.Layer(), l.id, l.on.host
			if c.Result == Fail {
				broken[key{l.on, l.id}] = string(l.id) + " of " + l.on.host + ", which fails"
				if r.First == nil {
					r.First = &First{Layer: l.id.Layer(), ID: l.id, Name: l.on.host, Code: c.Code}
				}
			}
			if c.Code != "" && o.Bundle != nil {
				o.Bundle.blame(&c, l.on)
			}
			c.scrub(o.Token, o.AgentToken)
			r.Checks = append(r.Checks, c)
		}
	}
	r.conclude()
	return r
}

type key struct {
	on *endpoint
	id ID
}

// planned is a check that is to be tried on a name.
type planned struct {
	id    ID
	on    *endpoint
	needs []ID // what it is pointless without
	check checker
	waits bool // it mostly waits, and others may be tried meanwhile
}

// together groups checks that are made at once: those that mostly wait.
func together(list []planned) [][]planned {
	var groups [][]planned
	for i, l := range list {
		if i > 0 && l.waits && list[i-1].waits {
			groups[len(groups)-1] = append(groups[len(groups)-1], l)
			continue
		}
		groups = append(groups, []planned{l})
	}
	return groups
}

// tryAll makes checks at once.
func (s *session) tryAll(ctx context.Context, group []planned, broken map[key]string) []Check {
	checks := make([]Check, len(group))
	var all sync.WaitGroup
	for i, l := range group {
		if why := s.untried(ctx, l, broken); why != "" {
			checks[i] = skipped("%s", why)
			continue
		}
		all.Go(func() {
			began := time.Now()
			checks[i] = l.check(ctx)
			if checks[i].Result != Skip {
				checks[i].MS = millis(time.Since(began))
			}
		})
	}
	all.Wait()
	return checks
}

// untried says why a check is not made, "" if it is.
func (s *session) untried(ctx context.Context, l planned, broken map[key]string) string {
	if slices.Contains(s.o.Skip, l.id) {
		broken[key{l.on, l.id}] = string(l.id) + " of " + l.on.host + ", which was not asked for"
		return "not asked for (--skip)"
	}
	for _, n := range l.needs {
		if because, ok := broken[key{l.on, n}]; ok {
			broken[key{l.on, l.id}] = because
			return "depends on " + because
		}
	}
	if ctx.Err() != nil {
		return "there was no time left"
	}
	return ""
}

// scrub takes the token out of what a server may have sent back, and what
// would change a terminal.
func (c *Check) scrub(tokens ...string) {
	for _, text := range []*string{&c.Observed, &c.Why, &c.Fix} {
		for _, token := range tokens {
			if token != "" {
				*text = strings.ReplaceAll(*text, token, "[token]")
			}
		}
		*text = strings.Map(func(r rune) rune {
			if unicode.IsPrint(r) {
				return r
			}
			return ' '
		}, *text)
	}
}

// Findings is what is wrong as findings.
func (r *Report) Findings() diag.Findings {
	var fs diag.Findings
	for _, c := range r.Checks {
		switch c.Result {
		case Fail:
			fs.Add(c.finding(diag.Error))
		case Warn:
			fs.Add(c.finding(diag.Warning))
		case Pass, Skip:
		}
	}
	return fs
}

type checker = func(context.Context) Check
