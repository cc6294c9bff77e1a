package vhost

import (
	"net/http"
	"net/netip"
	"regexp"
	"strings"

	"kasgen/runtime/httpengine"
)

// request is one request on its way through nginx's phases.
type request struct {
	run    *Server
	socket *socket
	w      *answer
	r      *http.Request
	client *httpengine.Client

	server   *server
	loc      *location
	settings *settings

	peer, local, source netip.AddrPort // ends of the socket; who the PROXY header says it is
	remote              netip.AddrPort // the client, as far as is known
	nth                 int64          // which request of its connection it is

	host string
	target
	method   string // as it is sent on: an error page is fetched by GET
	bodiless bool   // the body is of no use any more
	unread   *unread
	// rewritten asks for another location. pathChanged says that the path is not
	// the client's own any more, wholePath that `rewrite … break` made it, so
	// that proxy_pass does not replace the location's part of it.
	rewritten, pathChanged, wholePath bool
	internal                          bool // the client did not ask for this path
	erring                            bool // an error page is being fetched
	changes                           int
	errStatus                         int // the status of an error page's answer, 0: its own
	status                            int // of the answer
	sent                              http.Header

	vars     map[*variable]string
	groups   []string
	upstream upstreamFacts
}

// upstreamFacts is what variables tell of the upstream.
type upstreamFacts struct {
	host, port, addr string
	status           int
	header           http.Header
}

// maxChanges is NGX_HTTP_MAX_URI_CHANGES: a path that changes more often goes
// in circles.
const maxChanges = 10

// step is where a request goes on.
type step int

const (
	finished     step = iota
	fromServer        // with the server's rewriting: a new request, or an internal redirect
	fromFind          // with the choice of a location: the path was rewritten
	fromLocation      // with a location that was named
)

// serve takes the request through the phases until it is answered.
func (q *request) serve() {
	next := q.begin()
	for next != finished {
		switch next {
		case fromServer:
			next = q.serverPhase()
		case fromFind:
			next = q.findPhase()
		case fromLocation:
			next = q.locationPhase()
		case finished:
		}
	}
}

// begin checks the head, and chooses the server: until the name is known it is
// the default one.
func (q *request) begin() step {
	q.changes = maxChanges + 1
	q.method = q.r.Method
	t, err := parseTarget(q.r.RequestURI, q.settings.mergeSlashes)
	q.target, q.pathChanged = t, t.noPath
	switch {
	case err != nil, !validMethod(q.r.Method):
		return q.bad(http.StatusBadRequest)
	case q.longLine() && q.r.ProtoMajor == 1:
		return q.bad(http.StatusRequestURITooLong)
	case q.longLine():
		return q.bad(http.StatusBadRequest)
	}
	if q.r.Host != "" || q.r.ProtoMajor == 1 && q.r.ProtoMinor == 1 || q.r.ProtoMajor == 2 {
		host, ok := validHost(q.r.Host)
		if !ok {
			return q.bad(http.StatusBadRequest)
		}
		q.host = host
	}
	q.chooseByHost()
	if q.largeHead() {
		return q.bad(statusHeadTooLarge)
	}
	if q.r.Method == http.MethodTrace {
		return q.bad(http.StatusMethodNotAllowed)
	}
	q.realIP()
	return fromServer
}

// bad answers a request that never gets as far as the phases. nginx has no
// body to discard then, and closes.
func (q *request) bad(status int) step {
	q.w.close()
	return q.fail(status)
}

func validMethod(m string) bool {
	return strings.Trim(m, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") == ""
}

// chooseByHost sets the server that has the name, where somebody has. The name
// that TLS was asked for has chosen the certificate, and no more.
func (q *request) chooseByHost() {
	if s := q.socket.names.find(q.host, q.matched); s != nil {
		q.at(s)
	}
}

func (q *request) at(s *server) {
	q.server = s
	q.in(s.root)
}

func (q *request) in(l *location) {
	q.loc, q.settings = l, l.settings
}

// enter has the location say how long the connection lives on.
func (q *request) enter(l *location) {
	q.in(l)
	if q.r.ProtoMajor < 2 {
		q.rest()
	}
}

// matched remembers the groups of a pattern for $1 and its names.
func (q *request) matched(re *regexp.Regexp, groups []string) {
	q.groups = groups
	for i, name := range re.SubexpNames() {
		if name != "" {
			q.keep(q.run.config.captures[strings.ToLower(name)], groups[i])
		}
	}
}

func (q *request) capture(n int) string {
	if n < len(q.groups) {
		return q.groups[n]
	}
	return ""
}

// keep gives a variable a value for the rest of the request.
func (q *request) keep(v *variable, s string) {
	if q.vars == nil {
		q.vars = map[*variable]string{}
	}
	q.vars[v] = s
}

// serverPhase runs what the server says outside of locations.
func (q *request) serverPhase() step {
	q.in(q.server.root)
	if next, ended := q.rewrite(q.server.program, fromFind); ended {
		return next
	}
	q.rewritten, q.wholePath = false, false
	return fromFind
}

// findPhase chooses the location.
func (q *request) findPhase() step {
	l, slash := q.server.root.inner.find(q, q.uri)
	if l != nil {
		q.enter(l)
	} else {
		q.enter(q.server.root)
	}
	switch {
	case l != nil && l.internal && !q.internal:
		return q.fail(http.StatusNotFound)
	case q.settings.maxBody > 0 && q.r.ContentLength > q.settings.maxBody && !q.bodiless:
		return q.fail(http.StatusRequestEntityTooLarge)
	case slash:
		to := escape(q.uri+"/", inURI)
		if q.args != "" {
			to += "?" + q.args
		}
		return q.redirect(http.StatusMovedPermanently, to)
	}
	return fromLocation
}

// locationPhase runs what the location says, and answers.
func (q *request) locationPhase() step {
	if next, ended := q.rewrite(q.loc.program, fromFind); ended {
		return next
	}
	if q.rewritten {
		q.rewritten = false
		return q.changed(fromFind)
	}
	if q.loc.pass != nil {
		return q.proxy(q.loc.pass)
	}
	return q.static()
}

// changed counts a change of the path.
func (q *request) changed(next step) step {
	q.changes--
	if q.changes == 0 {
		q.erring = true
		return q.fail(http.StatusInternalServerError)
	}
	return next
}

// internalRedirect starts again with another path.
func (q *request) internalRedirect(to string) step {
	path, args, _ := strings.Cut(to, "?")
	q.uri, q.args = path, args
	q.internal, q.quoted = true, true
	q.pathChanged = true
	q.in(q.server.root)
	return q.changed(fromServer)
}

// longLine tells whether the request line is larger than a buffer for it.
func (q *request) longLine() bool {
	return len(q.r.Method)+len(q.r.RequestURI)+len("  HTTP/1.1\r\n") > q.settings.headSize
}

// largeHead tells whether a header line is larger than a buffer, or all of them
// are than all buffers.
func (q *request) largeHead() bool {
	size, total := q.settings.headSize, 0
	for name, values := range q.r.Header {
		for _, v := range values {
			n := len(name) + len(": \r\n") + len(v)
			if total += n; n > size {
				return true
			}
		}
	}
	return total > size*q.settings.headBuffers
}
