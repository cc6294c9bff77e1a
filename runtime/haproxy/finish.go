package haproxy

import (
	"fmt"
	"strings"
	"time"

	"kasgen/internal/diag"
	"kasgen/internal/haproxyconf"
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
	backends := map[string]*backend{}
	for _, p := range l.proxies {
		if p.isBackend() {
			backends[p.name] = &backend{Backend: p.backend(), proxy: p}
			l.config.Pools = append(l.config.Pools, backends[p.name].Pool)
			if p.http() {
				l.shared = append(l.shared, backends[p.name])
			}
		}
		l.missingTimeouts(p)
	}
	bound := map[string]*proxy{}
	for _, p := range l.proxies {
		if !p.isFrontend() {
			continue
		}
		next := l.routes(p, backends)
		if len(p.binds) == 0 {
			l.add(codeIncomplete, p.header.Pos, p.where()+" has no bind line", "no client can reach it", "add a bind line, or remove the section")
		}
		for _, b := range p.binds {
			for _, a := range b.addresses {
				if other := bound[a.text]; other != nil {
					l.add(codeDuplicate, p.header.Pos, fmt.Sprintf("%s is bound by %s, too", a.text, other.where()), "the second listener could not open", "change one of the addresses")
				}
				bound[a.text] = p
				l.binds = append(l.binds, a.text)
			}
		}
		if p.http() {
			l.web = append(l.web, l.webFrontend(p, next))
		} else {
			l.config.Frontends = append(l.config.Frontends, p.frontend(next))
		}
	}
	for _, f := range l.web {
		f.streams = l.streams // which may be said below the frontend
	}
}

// backend is a section that routes lead to.
type backend struct {
	*balancer.Backend
	proxy *proxy
}

// route picks a backend; nil is none.
type route func(*view) *backend

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
			Retries: p.retries, Delay: delay, Redispatch: p.redispatch, Spread: p.balance == balancer.Rounds || p.balance == balancer.Ring,
		},
	}
}

// routes reads where a frontend leads to. Switching waits for nothing: what
// waits is rules.
func (l *loader) routes(p *proxy, backends map[string]*backend) route {
	find := func(name haproxyconf.Word) *backend {
		to := backends[name.Value]
		switch {
		case to == nil:
			l.reference(name, "backend", names(backends))
		case to.proxy.http() != p.http():
			l.add(codeMode, name.Pos, fmt.Sprintf("%s is in mode %s, and leads to %s in mode %s", p.where(), p.mode, to.proxy.where(), to.proxy.mode),
				"HAProxy does not start: what one reads the other would not understand", "give both the same mode")
		}
		return to
	}
	type choice struct {
		cond *condition
		to   *backend
	}
	var choices []choice
	for _, s := range p.switches {
		to := find(s.name)
		if to != nil && s.name.Value == p.name {
			l.add(codeReference, s.name.Pos, fmt.Sprintf("use_backend leads back to %q", p.name), "HAProxy refuses the loop; a listen section serves itself where no rule matches", "remove the line")
		}
		choices = append(choices, choice{cond: s.cond, to: to})
	}
	var fallback *backend
	if p.isBackend() {
		fallback = backends[p.name] // a listen section serves itself
	}
	if p.fallback != nil {
		fallback = find(*p.fallback)
	}
	return func(v *view) *backend {
		for _, c := range choices {
			if c.cond.eval(v, true) == pass {
				return c.to
			}
		}
		return fallback
	}
}

func (p *proxy) frontend(next route) *balancer.Frontend {
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
	rules := p.rules
	f.Route = func(known *balancer.View) balancer.Decision {
		v := &view{View: known}
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
		if to := next(v); to != nil {
			return balancer.Decision{Backend: to.Backend}
		}
		return balancer.Decision{Cause: balancer.CauseNoBackend}
	}
	return f
}
