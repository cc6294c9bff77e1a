package haproxy

import (
	"time"

	"kasgen/runtime/balancer"
)

// HAProxy's defaults of mode http.
const (
	defaultStreams = 100 // tune.h2.max-concurrent-streams
	// maxHead is how much of its buffer a head may fill: tune.bufsize 16384
	// less tune.maxrewrite 1024.
	maxHead = 15360
)

// webFrontend is a frontend in mode http.
type webFrontend struct {
	name    string
	binds   []webBind
	maxConn int
	// client limits silence, head the head of a request, idle the time between
	// requests.
	client, head, idle time.Duration
	streams            uint32
	upgrade            bool // by the preface, to HTTP/2
	rules, answers     []httpRule
	forward            *forwardFor
	next               route
	log                bool
}

// webBind is one listening address of it.
type webBind struct {
	address
	acceptProxy, h2 bool
	tls             *balancer.ServerTLS
}

func (l *loader) webFrontend(p *proxy, next route) *webFrontend {
	f := &webFrontend{
		name: p.name, maxConn: p.maxConn, client: p.timeouts["client"], head: p.timeouts["client"],
		upgrade: !p.options["disable-h2-upgrade"], rules: p.requests, answers: p.answers, forward: p.forward, next: next,
		log: p.log && p.options["httplog"],
	}
	if t, ok := p.timeouts["http-request"]; ok {
		f.head = t
	}
	f.idle = f.head // HAProxy's own fallback
	if t, ok := p.timeouts["http-keep-alive"]; ok {
		f.idle = t
	}
	for _, b := range p.binds {
		for _, a := range b.addresses {
			f.binds = append(f.binds, webBind{address: a, acceptProxy: b.acceptProxy, h2: b.h2, tls: b.tls})
		}
	}
	return f
}
