package haproxy

import (
	"slices"
	"time"

	"kasgen/internal/haproxyconf"
	"kasgen/runtime/balancer"
)

// proxy is a defaults, frontend, backend or listen section. Options are kept
// as HAProxy keeps them: one set, inherited from defaults.
type proxy struct {
	kind, name string
	header     haproxyconf.Word

	mode       string
	maxConn    int
	timeouts   map[string]time.Duration
	options    map[string]bool
	redispatch int
	retries    int
	log        bool

	binds    []*bind
	inspect  time.Duration
	acls     map[string]acl
	rules    []rule
	requests []httpRule // on what clients ask
	answers  []httpRule // on what servers answer
	forward  *forwardFor
	switches []backendRule
	fallback *haproxyconf.Word
	balance  balancer.Balance
	template *server
	servers  []*server
}

// defaultRetries is HAProxy's.
const defaultRetries = 3

func newProxy(kind string) *proxy {
	return &proxy{
		kind: kind, mode: "tcp", timeouts: map[string]time.Duration{}, options: map[string]bool{},
		retries: defaultRetries, acls: map[string]acl{}, balance: balancer.Rounds, template: newServer(),
	}
}

// derive is a new section that starts with the options of p.
func (p *proxy) derive(kind, name string) *proxy {
	d := newProxy(kind)
	d.name, d.mode, d.maxConn, d.retries, d.redispatch, d.log = name, p.mode, p.maxConn, p.retries, p.redispatch, p.log
	d.fallback, d.balance, d.forward = p.fallback, p.balance, p.forward
	for k, v := range p.timeouts {
		d.timeouts[k] = v
	}
	for k, v := range p.options {
		d.options[k] = v
	}
	template := *p.template
	d.template = &template
	return d
}

func (p *proxy) http() bool       { return p.mode == "http" }
func (p *proxy) isFrontend() bool { return p.kind == "frontend" || p.kind == "listen" }
func (p *proxy) isBackend() bool  { return p.kind == "backend" || p.kind == "listen" }
func (p *proxy) isDefaults() bool { return p.kind == "defaults" }

func (p *proxy) where() string {
	if p.name == "" {
		return p.kind
	}
	return p.kind + " " + p.name
}

// proxyKeywords is what a proxy section may say, for "did you mean".
var proxyKeywords = [...]string{
	"mode", "log", "option", "no", "maxconn", "retries", "timeout", "bind", "tcp-request", "acl", "use_backend", "default_backend",
	"balance", "default-server", "server", "description", "hash-type", "http-request", "http-response",
}

// proxyLine reads one line of a proxy section.
func (l *loader) proxyLine(p *proxy, line *haproxyconf.Line) {
	w := line.Words[0]
	switch w.Value {
	case "mode":
		// Read before the other lines, whose meaning it changes: see modeOf.
		if l.count(line, 1, 1, 1) && line.Words[1].Value != "tcp" && line.Words[1].Value != "http" {
			l.unsupported(line.Words[1], "mode "+line.Words[1].Value, "the embedded balancer has no other mode", "write mode tcp or mode http, or run HAProxy itself for this section")
		}
	case "http-request":
		if l.sectionOnly(p, w) && l.httpOnly(p, w) {
			l.httpRequest(p, line)
		}
	case "http-response":
		if l.sectionOnly(p, w) && l.httpOnly(p, w) {
			l.httpResponse(p, line)
		}
	case "log":
		if l.count(line, 1, 1, -1) {
			p.log = line.Words[1].Value == "global" || p.log
		}
	case "description", "id":
		// Words for people.
	case "option":
		l.option(p, line, 1, true)
	case "no":
		if l.count(line, 1, 2, -1) {
			if line.Words[1].Value != "option" {
				l.unknown(line.Words[1], p.where()+" behind no", []string{"option"})
				return
			}
			l.option(p, line, 2, false)
		}
	case "maxconn":
		if l.frontendOnly(p, w) && l.count(line, 1, 1, 1) {
			p.maxConn = l.number(line.Words[1], 0, 1<<30)
		}
	case "retries":
		if l.backendOnly(p, w) && l.count(line, 1, 1, 1) {
			p.retries = l.number(line.Words[1], 0, 1000)
		}
	case "timeout":
		l.timeout(p, line)
	case "bind":
		if l.sectionOnly(p, w) && l.frontendOnly(p, w) {
			l.bind(p, line)
		}
	case "tcp-request":
		if l.sectionOnly(p, w) && l.frontendOnly(p, w) {
			l.tcpRequest(p, line)
		}
	case "acl":
		if l.sectionOnly(p, w) {
			l.acl(p, line)
		}
	case "use_backend":
		if l.sectionOnly(p, w) && l.frontendOnly(p, w) {
			l.useBackend(p, line)
		}
	case "default_backend":
		if l.frontendOnly(p, w) && l.count(line, 1, 1, 1) {
			p.fallback = &line.Words[1]
		}
	case "balance":
		if l.backendOnly(p, w) {
			l.balance(p, line)
		}
	case "default-server":
		if l.backendOnly(p, w) {
			l.serverOptions(p, p.template, line.Words[1:])
		}
	case "server":
		if l.sectionOnly(p, w) && l.backendOnly(p, w) {
			l.server(p, line)
		}
	case "hash-type":
		if l.count(line, 1, 1, -1) && !slices.Equal(line.Values()[1:], []string{"map-based"}) {
			l.unsupported(line.Words[1], "hash-type "+line.Words[1].Value, "the embedded balancer hashes as HAProxy does by default", "remove the line")
		}
	default:
		l.unknown(w, p.where(), proxyKeywords[:])
	}
}

// modeOf takes a section's mode, wherever in it the line stands.
func (p *proxy) modeOf(lines []*haproxyconf.Line) {
	for _, line := range lines {
		if v := line.Values(); len(v) == 2 && v[0] == "mode" {
			p.mode = v[1]
		}
	}
}

func (l *loader) httpOnly(p *proxy, w haproxyconf.Word) bool {
	if p.http() {
		return true
	}
	l.add(codeUnknown, w.Pos, w.Value+" has no meaning in "+p.where()+", which is in mode tcp", "HAProxy ignores it there", "write mode http, or remove the line")
	return false
}

func (l *loader) frontendOnly(p *proxy, w haproxyconf.Word) bool {
	if p.isFrontend() || p.isDefaults() {
		return true
	}
	l.add(codeUnknown, w.Pos, w.Value+" has no meaning in "+p.where(), "clients never reach a backend directly", "move the line to the frontend")
	return false
}

func (l *loader) backendOnly(p *proxy, w haproxyconf.Word) bool {
	if p.isBackend() || p.isDefaults() {
		return true
	}
	l.add(codeUnknown, w.Pos, w.Value+" has no meaning in "+p.where(), "a frontend has no servers", "move the line to the backend")
	return false
}

func (l *loader) sectionOnly(p *proxy, w haproxyconf.Word) bool {
	if !p.isDefaults() {
		return true
	}
	l.add(codeUnknown, w.Pos, w.Value+" has no meaning in a defaults section", "HAProxy refuses it there", "move the line to a frontend, backend or listen section")
	return false
}

// timeout reads a time limit. A limit that is not written is none at all.
func (l *loader) timeout(p *proxy, line *haproxyconf.Line) {
	if !l.count(line, 1, 2, 2) {
		return
	}
	// http-request and http-keep-alive have no effect in mode tcp, in HAProxy
	// as here; files keep them in a defaults section that both modes share.
	known := []string{"connect", "client", "server", "client-fin", "server-fin", "tunnel", "check", "queue", "http-request", "http-keep-alive"}
	name := line.Words[1]
	switch {
	case slices.Contains(known, name.Value):
		p.timeouts[name.Value] = l.duration(line.Words[2])
	case name.Value == "tarpit":
		// Of a rule that is refused.
		l.duration(line.Words[2])
	default:
		l.unknown(name, "timeout", known)
	}
}

// option reads the option behind the line's first n words.
func (l *loader) option(p *proxy, line *haproxyconf.Line, n int, on bool) {
	if !l.count(line, n, 1, -1) {
		return
	}
	w := line.Words[n]
	switch w.Value {
	case "tcplog", "httplog", "dontlognull", "clitcpka", "srvtcpka", "tcpka", "disable-h2-upgrade":
		p.options[w.Value] = on
	case "http-server-close", "http-keep-alive":
		// Whether HAProxy keeps a connection to a server for the next request.
		// The embedded balancer has one for each over HTTP/1.1, and shares
		// them over HTTP/2, and keeps the client's.
	case "forwardfor":
		p.forward = l.forwardFor(line.Words[n+1:], on)
		return
	case "splice-auto", "splice-request", "splice-response":
		// Bytes are spliced wherever no TLS stands between: always, so both
		// with the option and without it the same bytes arrive.
	case "tcp-check":
		// Without tcp-check rules, which are refused, it is the connection
		// that a plain check makes.
	case "log-health-checks", "tcp-smart-accept", "tcp-smart-connect", "dontlog-normal", "logasap", "contstats", "log-separate-errors":
		// Log lines and acknowledgement packets.
	case "redispatch":
		p.redispatch = 0
		if on {
			p.redispatch = -1
			if len(line.Words) > n+1 {
				p.redispatch = l.number(line.Words[n+1], 0, 1000)
			}
		}
		return
	default:
		l.unknown(w, "option", []string{"tcplog", "httplog", "dontlognull", "clitcpka", "srvtcpka", "tcpka", "splice-auto", "splice-request", "splice-response", "redispatch", "tcp-check", "forwardfor", "http-server-close", "http-keep-alive", "disable-h2-upgrade"})
		return
	}
	l.count(line, n+1, 0, 0)
}

// balance reads the algorithm.
func (l *loader) balance(p *proxy, line *haproxyconf.Line) {
	if !l.count(line, 1, 1, 1) {
		return
	}
	known := map[string]balancer.Balance{
		"roundrobin": balancer.Rounds, "static-rr": balancer.Ring, "leastconn": balancer.LeastConnTurns,
		"source": balancer.Source, "first": balancer.First,
	}
	b, ok := known[line.Words[1].Value]
	if !ok {
		l.unknown(line.Words[1], "balance", names(known))
		return
	}
	p.balance = b
}
