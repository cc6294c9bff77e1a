package haproxy

import (
	"fmt"
	"strings"
	"time"

	"kasgen/internal/diag"
	"kasgen/runtime/balancer"
)

const (
	// peekSize is HAProxy's buffer less its reserve: tune.bufsize 16384,
	// tune.maxrewrite 1024.
	peekSize = 15360
	// turnAround is the longest pause before the same server is tried again.
	turnAround = time.Second
)

// finish resolves names and builds the balancer.
func (l *loader) finish() {
	backends := map[string]*balancer.Backend{}
	for _, p := range l.proxies {
		if p.isBackend() {
			backends[p.name] = p.backend()
			l.config.Pools = append(l.config.Pools, backends[p.name].Pool)
		}
		l.missingTimeouts(p)
	}
	bound := map[string]*proxy{}
	for _, p := range l.proxies {
		if !p.isFrontend() {
			continue
		}
		f := l.frontend(p, backends)
		if len(p.binds) == 0 {
			l.add(codeIncomplete, p.header.Pos, p.where()+" has no bind line", "no client can reach it", "add a bind line, or remove the section")
		}
		for _, b := range f.Binds {
			if other := bound[b.Address]; other != nil {
				l.add(codeDuplicate, p.header.Pos, fmt.Sprintf("%s is bound by %s, too", b.Address, other.where()), "the second listener could not open", "change one of the addresses")
			}
			bound[b.Address] = p
		}
		l.config.Frontends = append(l.config.Frontends, f)
	}
}

// missingTimeouts warns as HAProxy does: without a limit a dead client is
// kept for ever.
func (l *loader) missingTimeouts(p *proxy) {
	var missing []string
	if p.isFrontend() && p.timeouts["client"] == 0 {
		missing = append(missing, "client")
	}
	if p.isBackend() && len(p.servers) > 0 {
		for _, name := range []string{"connect", "server"} {
			if p.timeouts[name] == 0 {
				missing = append(missing, name)
			}
		}
	}
	if len(missing) > 0 {
		l.fs.Add(diag.Finding{
			Code: codeTimeouts, Severity: diag.Warning, Pos: p.header.Pos,
			What: fmt.Sprintf("%s has no timeout %s", p.where(), strings.Join(missing, ", ")),
			Why:  "without the limit a connection that died is kept for ever", Fix: "add the timeout, for example to defaults",
		})
	}
}

func (p *proxy) backend() *balancer.Backend {
	peers := make([]*balancer.Peer, len(p.servers))
	for i, s := range p.servers {
		peers[i] = s.peer(p.timeouts)
	}
	queue, set := p.timeouts["queue"]
	if !set {
		queue = p.timeouts["connect"]
	}
	delay := turnAround
	if connect := p.timeouts["connect"]; connect > 0 {
		delay = min(delay, connect)
	}
	return &balancer.Backend{
		Name:      p.name,
		Pool:      balancer.NewPool(p.name, p.balance, true, peers),
		Connect:   p.timeouts["connect"],
		Queue:     queue,
		Idle:      p.timeouts["server"],
		Fin:       p.timeouts["server-fin"],
		Tunnel:    p.timeouts["tunnel"],
		HalfClose: true,
		Retry: balancer.Retry{
			Retries: p.retries, Delay: delay, Redispatch: p.redispatch, Spread: p.balance == balancer.RoundRobin,
		},
	}
}

func (l *loader) frontend(p *proxy, backends map[string]*balancer.Backend) *balancer.Frontend {
	f := &balancer.Frontend{
		Name: p.name, MaxConn: p.maxConn, Inspect: p.inspect, Peek: peekSize,
		// HAProxy holds the PROXY header and the handshake to the client's limit.
		Header: p.timeouts["client"], Handshake: p.timeouts["client"], Idle: p.timeouts["client"], Fin: p.timeouts["client-fin"],
		LogConnections: p.log, SkipEmpty: p.options["dontlognull"],
	}
	for _, b := range p.binds {
		for _, a := range b.addresses {
			f.Binds = append(f.Binds, &balancer.Bind{Network: a.network, Address: a.text, AcceptProxy: b.acceptProxy, TLS: b.tls})
		}
	}
	type route struct {
		cond *condition
		to   *balancer.Backend
	}
	var routes []route
	for _, s := range p.switches {
		to := backends[s.name.Value]
		switch {
		case to == nil:
			l.reference(s.name, "backend", names(backends))
		case s.name.Value == p.name:
			l.add(codeReference, s.name.Pos, fmt.Sprintf("use_backend leads back to %q", p.name), "HAProxy refuses the loop; a listen section serves itself where no rule matches", "remove the line")
		}
		routes = append(routes, route{cond: s.cond, to: to})
	}
	fallback := backends[p.name] // a listen section serves itself
	if !p.isBackend() {
		fallback = nil
	}
	if p.fallback != nil {
		if fallback = backends[p.fallback.Value]; fallback == nil {
			l.reference(*p.fallback, "backend", names(backends))
		}
	}
	rules := p.rules
	f.Route = func(v *balancer.View) balancer.Decision {
		for _, r := range rules {
			matched := r.cond.eval(v, v.Final())
			if matched == miss {
				return balancer.Decision{Wait: true}
			}
			if matched == pass && !r.accept {
				return balancer.Decision{Cause: balancer.CauseRejected}
			}
			if matched == pass {
				break
			}
		}
		// Switching waits for nothing: the rules above are what waits.
		for _, r := range routes {
			if r.cond.eval(v, true) == pass {
				return balancer.Decision{Backend: r.to}
			}
		}
		return balancer.Decision{Backend: fallback, Cause: balancer.CauseNoBackend}
	}
	return f
}
