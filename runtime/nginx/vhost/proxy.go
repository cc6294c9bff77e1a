package vhost

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"kasgen/runtime/balancer"
	"kasgen/runtime/httpengine"
	"kasgen/runtime/relay"
)

// exchange is one request's way through the servers of its upstream.
type exchange struct {
	*request
	pass     *pass
	settings *passing
	place    place
	spool    *spool
	out      httpengine.Outgoing
	lease    *balancer.Lease
	// decided is what an answer that is not passed on stands for.
	decided int
	again   bool // ask another server
	left    int  // how many more may be asked
}

// proxy sends the request on.
func (q *request) proxy(p *pass) step {
	x := &exchange{request: q, pass: p, settings: &q.settings.proxy}
	if p.grpc {
		x.settings = &q.settings.grpc
	}
	var ok bool
	if x.place, ok = p.resolve(q); !ok {
		return q.fail(http.StatusBadGateway)
	}
	q.upstream = upstreamFacts{host: x.place.host, port: x.place.port}
	x.out = httpengine.Outgoing{Method: q.method, Target: x.target()}
	x.out.Host, x.out.Header = q.headers(x.settings, p.grpc)
	x.out.Version10 = !p.grpc && !x.settings.version11
	if status := x.readBody(); status != 0 {
		return q.fail(status)
	}
	defer func() { _ = x.spool.close() }() // it has no name, and goes with the descriptor
	status := x.try()
	if status == 0 {
		return finished
	}
	return q.fail(status)
}

// target is the request target as the upstream gets it: the client's own bytes
// where nothing has changed them, else the path escaped anew, with the
// location's part replaced.
func (x *exchange) target() string {
	q, to := x.request, x.place
	if x.pass.whole != nil && to.hasURI {
		if to.uri[0] == '?' {
			return "/" + to.uri
		}
		return to.uri
	}
	if !to.hasURI && !q.pathChanged {
		return q.unparsed
	}
	path, prefix := q.uri, ""
	if to.hasURI && !q.wholePath {
		path, prefix = strings.TrimPrefix(path, x.pass.location), to.uri
		if prefix[0] == '?' {
			prefix = "/" + prefix
		}
	}
	if q.quoted || q.internal {
		path = escape(path, inURI)
	}
	if path = prefix + path; q.args != "" {
		path += "?" + q.args
	}
	return path
}

// readBody settles what of the body is sent: as it comes, or, as nginx does
// unless told otherwise, after all of it has come.
func (x *exchange) readBody() (status int) {
	q := x.request
	if !q.hasBody() || !x.settings.passBody {
		return 0
	}
	known := q.r.ContentLength >= 0
	if x.pass.grpc || !x.settings.requestBuffering && (known || !x.out.Version10) {
		x.out.Body, x.out.ContentLength = q.body(), q.r.ContentLength
		return 0
	}
	if x.spool, status = q.spool(); status == 0 {
		x.out.ContentLength = x.spool.size
	}
	return status
}

// try asks the servers in turn. The status is what to answer, 0 where there is
// an answer.
func (x *exchange) try() int {
	began := time.Now()
	var tried []*balancer.Lease
	tries := x.place.pool.Size()
	if n := x.settings.next.tries; n > 0 {
		tries = min(tries, n)
	}
	for {
		lease, err := x.place.pool.Lease(x.remote.Addr(), tried)
		if err != nil {
			x.run.log.Error("no live upstreams", "upstream", x.place.host)
			return http.StatusBadGateway
		}
		tried = append(tried, lease)
		x.lease, x.left = lease, tries-len(tried)
		status, again := x.ask()
		if within := x.settings.next.within; !again || x.left == 0 || within > 0 && time.Since(began) >= within {
			return status
		}
	}
}

// ask asks one server. again tells that another one may be asked.
func (x *exchange) ask() (status int, again bool) {
	handed := false
	release := x.lease.Release
	defer func() {
		if !handed {
			release()
		}
	}()
	peer := x.lease.Peer()
	x.upstream.addr, x.decided, x.again = peer.Address, 0, false
	up := &httpengine.Upstream{
		Dial:    func(ctx context.Context) (net.Conn, error) { return x.run.host.Dial(ctx, "tcp", peer.Address) },
		Connect: x.settings.connect, Read: x.settings.read, Send: x.settings.send,
	}
	if x.place.secure {
		up.TLS = x.settings.tls.config(x.request, &x.place)
	}
	if x.spool != nil {
		x.out.Body = x.spool.reader()
	}
	limits := httpengine.ClientLimits{Body: x.request.settings.bodyTimeout, Send: x.request.settings.sendTimeout}
	var failure *httpengine.Failure
	if x.pass.grpc {
		failure = up.GRPC(x.w, x.r, x.out, httpengine.GRPCOptions{Client: limits, OnResponse: x.answered})
	} else {
		up.MaxHeaderBytes = x.settings.headSize
		failure = up.HTTP1(x.w, x.r, x.out, httpengine.HTTP1Options{
			Client: limits, OnResponse: x.answered, Buffer: x.settings.buffering, Ends: relay.Together,
			Upgraded: release,
		})
		handed = failure == nil && x.upstream.status == http.StatusSwitchingProtocols && x.decided == 0
	}
	if failure != nil {
		return x.failed(failure)
	}
	return x.decided, x.again
}

// failed counts a failure, and tells whether it is one after which nginx asks
// another server.
func (x *exchange) failed(f *httpengine.Failure) (status int, again bool) {
	if f.Stage == httpengine.StageRequest {
		x.run.log.Debug("a client's request ended early", "error", f.Err)
		return f.Status, false
	}
	x.run.log.Error("an upstream failed", "upstream", x.lease.Peer().Address, "status", f.Status, "error", f.Err)
	x.lease.Failed()
	x.upstream.status = f.Status
	n := &x.settings.next
	switch {
	case f.Stage == httpengine.StageConnect:
		again = n.onError && f.Status == http.StatusBadGateway || n.onTimeout && f.Status == http.StatusGatewayTimeout
	case f.Status == http.StatusGatewayTimeout:
		again = n.onTimeout && x.repeatable()
	default:
		again = (n.onError || n.onInvalid) && x.repeatable()
	}
	return f.Status, again
}

// repeatable tells whether a request that has been sent may be sent again.
func (x *exchange) repeatable() bool {
	switch x.method {
	case http.MethodPost, http.MethodPatch, "LOCK":
		if !x.settings.next.nonIdempotent {
			return false
		}
	}
	return x.out.Body == nil || x.spool != nil
}

// hidden are headers of upstreams that nginx keeps to itself, or writes itself.
var hidden = [...]string{"Date", "Server", "X-Pad", "X-Accel-Expires", "X-Accel-Redirect", "X-Accel-Limit-Rate", "X-Accel-Buffering", "X-Accel-Charset"}

// answered sees the upstream's answer before the client does. If it returns
// true the answer is dropped.
func (x *exchange) answered(resp *httpengine.Response) bool {
	x.upstream.status, x.upstream.header = resp.Status, resp.Header.Clone()
	if x.left > 0 && slices.Contains(x.settings.next.statuses, resp.Status) && x.repeatable() {
		x.lease.Failed()
		x.decided, x.again = resp.Status, true
		return true
	}
	x.lease.Succeeded()
	if x.settings.intercept && resp.Status >= 300 && x.intercepts(resp.Status) {
		x.decided = resp.Status
		return true
	}
	for _, name := range hidden {
		if !slices.Contains(x.settings.pass, name) {
			delete(resp.Header, name)
		}
	}
	for _, name := range x.settings.hide {
		delete(resp.Header, name)
	}
	x.redirects(resp)
	if x.errStatus > 0 {
		resp.Status = x.errStatus
	}
	x.finish(resp.Status, resp.Header, resp.ContentLength)
	if resp.Status == http.StatusSwitchingProtocols {
		x.w.status = resp.Status // it is written past the ResponseWriter
	}
	return false
}

func (x *exchange) intercepts(status int) bool {
	return slices.ContainsFunc(x.request.settings.errorPages, func(p errorPage) bool { return p.status == status })
}

// redirects puts the client's view of the upstream into Location and Refresh.
func (x *exchange) redirects(resp *httpengine.Response) {
	to := resp.Header.Get("Location")
	if to == "" || x.pass.grpc || x.settings.noRedirects {
		return
	}
	if len(x.settings.redirects) == 0 && x.pass.whole == nil {
		from, location := x.place.url, x.pass.location
		if !x.place.hasURI {
			from, location = from+"/", "/"
		}
		if rest, ok := strings.CutPrefix(to, from); ok {
			resp.Header.Set("Location", x.absolute(location+rest))
		}
		return
	}
	for _, r := range x.settings.redirects {
		if rest, ok := strings.CutPrefix(to, r.from.of(x.request)); ok {
			resp.Header.Set("Location", x.absolute(r.to.of(x.request)+rest))
			return
		}
	}
}
