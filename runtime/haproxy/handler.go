package haproxy

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"kasgen/runtime/balancer"
	"kasgen/runtime/http1"
	"kasgen/runtime/httpengine"
	"kasgen/runtime/relay"
)

// handler serves the requests of one frontend in mode http.
type handler struct {
	server   *Server
	frontend *webFrontend
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	t := &transaction{handler: h, w: w, view: &view{View: known(r), request: newRequest(r)}}
	defer func() { t.log(began) }()
	t.serve(w, r)
}

// known is what is known of a request's client.
func known(r *http.Request) *balancer.View {
	v := &balancer.View{Expired: true}
	if c := httpengine.ClientOf(r.Context()); c != nil {
		v.Client, v.Local, v.TLS = c.Peer, c.Local, c.TLS
		if c.Source.IsValid() {
			v.Client, v.Local = c.Source, c.Destination
		}
	}
	return v
}

// transaction is one request on its way.
type transaction struct {
	handler  *handler
	w        http.ResponseWriter
	view     *view
	backend  *backend
	peer     *balancer.Peer
	status   int // of the answer
	failure  error
	switched bool // the answer is 101
}

func (t *transaction) serve(w http.ResponseWriter, r *http.Request) {
	f := t.handler.frontend
	if t.denied(f.rules) {
		return
	}
	f.forward.apply(t.view)
	t.backend = f.next(t.view)
	if t.backend == nil {
		t.answer(http.StatusServiceUnavailable)
		return
	}
	if p := t.backend.proxy; !p.isFrontend() { // whose rules these are
		if t.denied(p.requests) {
			return
		}
		if f.forward == nil {
			p.forward.apply(t.view)
		}
	}
	var failure *httpengine.Failure
	given := make(chan struct{}) // done is known
	var done func()
	ended := func() { <-given; done() }
	done, _, err := t.handler.server.Try(r.Context(), t.view.View, t.backend.Backend, func(p *balancer.Peer) error {
		t.peer = p
		failure = t.send(w, r, p, ended)
		if failure != nil && failure.Stage == httpengine.StageConnect {
			return failure
		}
		return nil
	})
	close(given)
	switch {
	case err != nil:
		t.failure = err
		t.fail(r, http.StatusServiceUnavailable)
	case failure != nil:
		done()
		t.failure = failure
		status := failure.Status
		if failure.Stage == httpengine.StageSession && status == http.StatusBadGateway {
			status = http.StatusServiceUnavailable // to HAProxy it was no connection
		}
		t.fail(r, status)
	case !t.switched:
		done()
	}
}

// fail answers where there is somebody to hear it.
func (t *transaction) fail(r *http.Request, status int) {
	if status == httpengine.StatusGone || r.Context().Err() != nil && status == http.StatusServiceUnavailable {
		t.status = httpengine.StatusGone
		panic(http.ErrAbortHandler)
	}
	t.answer(status)
}

// denied carries out rules; true is the end of the request.
func (t *transaction) denied(rules []httpRule) bool {
	for _, r := range rules {
		if r.cond.eval(t.view, true) != pass {
			continue
		}
		if r.change != nil {
			r.change(t.view, t.view.request.header)
		}
		if r.ends && r.status != 0 {
			t.answer(r.status)
			return true
		}
		if r.ends {
			return false
		}
	}
	return false
}

// send sends the request to one server.
func (t *transaction) send(w http.ResponseWriter, r *http.Request, p *balancer.Peer, ended func()) *httpengine.Failure {
	b := t.backend
	// HAProxy does not hold a client to its limit while the server's runs.
	client := httpengine.ClientLimits{Send: t.handler.frontend.client}
	out := httpengine.Outgoing{
		Method: r.Method, Target: r.RequestURI, Host: t.view.request.host, Header: t.view.request.header.Clone(), ContentLength: r.ContentLength, Scheme: "http",
	}
	if r.TLS != nil {
		out.Scheme = "https"
	}
	if r.ContentLength != 0 || len(r.Header["Content-Length"]) > 0 {
		out.Body = r.Body
	}
	if b.speaksHTTP2(p) {
		out.Target = originForm(r)
		return t.handler.server.upstream(b, p, t.view.View).GRPC(w, r, out, httpengine.GRPCOptions{Client: client, OnResponse: t.onResponse})
	}
	upgrade, err := http1.Upgrade(r)
	switch {
	case err != nil, strings.EqualFold(upgrade, "h2c"):
		upgrade = "" // HAProxy sends the request without it
	case r.ProtoMajor != 1:
		upgrade = ""
	case strings.EqualFold(upgrade, http1.WebSocket) && len(r.Header.Get("Sec-Websocket-Key")) != webSocketKey:
		return &httpengine.Failure{Stage: httpengine.StageRequest, Status: http.StatusBadRequest, Err: errors.New("a WebSocket without a proper Sec-WebSocket-Key")}
	}
	one(out.Header, upgrade)
	o := httpengine.HTTP1Options{Client: client, OnResponse: t.onResponse, Tunnel: t.tunnel(), Upgraded: ended, OwnConnection: true, Ends: relay.WithServer}
	return t.handler.server.upstream(b, p, t.view.View).HTTP1(w, r, out, o)
}

// webSocketKey is the length of 16 bytes in base64 (RFC 6455, section 4.1); a
// request with another key, or none, HAProxy refuses.
const webSocketKey = 24

// one settles what concerns the connection to a server of HTTP/1.1.
func one(h http.Header, upgrade string) {
	for _, name := range []string{"Keep-Alive", "Proxy-Connection", "Trailer", "Upgrade"} {
		delete(h, name)
	}
	if te := strings.ToLower(strings.Join(h["Te"], ",")); strings.Contains(te, "trailers") {
		h["Te"] = []string{"trailers"} // the rest is the client's own
	} else {
		delete(h, "Te")
	}
	// Each request has a connection of its own, whose end the server sees; it is
	// told what HAProxy tells, which may use one again.
	delete(h, "Connection")
	if upgrade != "" {
		h["Connection"], h["Upgrade"] = []string{"upgrade"}, []string{upgrade}
	}
}

// tunnel limits the silence of an upgraded stream.
func (t *transaction) tunnel() time.Duration {
	if d := t.backend.Tunnel; d > 0 {
		return d
	}
	client, server := t.handler.frontend.client, t.backend.Idle
	if client == 0 || server > 0 && server < client {
		return server
	}
	return client
}

// onResponse changes an answer on its way.
func (t *transaction) onResponse(resp *httpengine.Response) bool {
	t.status, t.switched = resp.Status, resp.Status == http.StatusSwitchingProtocols
	rules := t.backend.proxy.answers
	if !t.backend.proxy.isFrontend() {
		rules = append(rules[:len(rules):len(rules)], t.handler.frontend.answers...)
	}
	for _, r := range rules {
		r.change(t.view, resp.Header)
	}
	return false
}

// speaksHTTP2 tells whether a server is one of `proto h2`.
func (b *backend) speaksHTTP2(p *balancer.Peer) bool {
	for _, s := range b.proxy.servers {
		if s.word.Value == p.Name {
			return s.h2
		}
	}
	return false
}

// upstream is a server for the engine. Connections of HTTP/2 are shared by all
// clients, unless each must tell of its own.
func (s *Server) upstream(b *backend, p *balancer.Peer, v *balancer.View) *httpengine.Upstream {
	if u := s.upstreams[p]; u != nil {
		return u
	}
	return s.newUpstream(b, p, v)
}

func (t *transaction) log(began time.Time) {
	f, q := t.handler.frontend, t.view.request
	if !f.log && t.failure == nil {
		return
	}
	attrs := []any{
		"frontend", f.name, "client", clientOf(t.view.Client), "method", q.original.Method, "path", q.path, "status", t.status,
		"ms", time.Since(began).Milliseconds(),
	}
	if t.backend != nil {
		attrs = append(attrs, "backend", t.backend.Name)
	}
	if t.peer != nil {
		attrs = append(attrs, "server", t.peer.Name)
	}
	if t.failure != nil {
		attrs = append(attrs, "error", t.failure)
	}
	t.handler.server.host.Log.Info("request ended", attrs...)
}

func clientOf(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
