// Package proxy is the Kubernetes API proxy: a request with GitLab credentials
// comes in over HTTP and goes to a cluster through an agent's tunnel. It knows
// neither listeners nor how tunnels come to be. Its law: a request reaches a
// cluster only as what GitLab allows it to be, its credentials never do, and
// whichever side ends first ends the other.
package proxy

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kasgen/runtime/cache"
	"kasgen/runtime/gitlab"
	"kasgen/runtime/http1"
	"kasgen/runtime/inflight"
	"kasgen/runtime/kas/tunnels"
	"kasgen/runtime/readahead"
)

// GitLab is who says what a CI job or a person may use.
type GitLab interface {
	AllowedAgents(ctx context.Context, jobToken string) (*gitlab.AllowedAgents, error)
	AuthorizeUser(ctx context.Context, a gitlab.UserAccess) (*gitlab.AuthorizedUser, error)
}

// Options are what the proxy needs.
type Options struct {
	Log         *slog.Logger
	GitLab      GitLab
	Tunnels     *tunnels.Registry
	Prefix      string        // url_path_prefix
	Origin      string        // GitLab's URL, the one origin that CORS allows; "" allows none
	AllowedTTL  time.Duration // of a job's or person's permissions
	ErrorTTL    time.Duration // of a refusal
	TokenKey    []byte        // signs WebSocket tokens; nil: there are none
	Headers     []string      // of answers, that pass beside those that are known
	FindTunnel  time.Duration // how long a request waits for a tunnel
	Version     string        // for Via and Server
	Metrics     prometheus.Registerer
	LingerAfter time.Duration // see DefaultLinger
}

// DefaultFindTunnel is GitLab's: the agent redials within 20 s.
const DefaultFindTunnel = 20 * time.Second

// DefaultLinger is how long an upgraded stream whose client has stopped
// sending may be silent before it is ended (at the most twice that passes). A
// client that is gone and one that only closed its sending direction look the
// same until something is written: TCP's keepalive probes are acknowledged for
// either, until Linux forgets the socket of the one that is gone, 60 s later
// (tcp_fin_timeout; 62.7 s were measured), and behind a balancer they are
// answered for ever. kubectl never half-closes, but is killed all the time, and
// what it left running in a cluster should not outlive it by a minute.
const DefaultLinger = 1500 * time.Millisecond

// Proxy is the handler of the Kubernetes API listener.
type Proxy struct {
	Options
	prefix  string // with a slash at either end
	jobs    *cache.Cache[*gitlab.AllowedAgents]
	users   *cache.Cache[*gitlab.AuthorizedUser]
	signer  signer
	passing map[string]bool // headers of answers
	metrics metrics
	pool    *readahead.Pool // gRPC's own would give a megabyte for 64 KiB, and clear it

	ctx     context.Context // done when streams have to end
	end     context.CancelFunc
	streams inflight.Group // upgraded ones: net/http no longer knows them
}

// New is a proxy with empty caches.
func New(o Options) *Proxy {
	ctx, end := context.WithCancel(context.Background())
	return &Proxy{
		Options: o,
		prefix:  CleanPrefix(o.Prefix),
		jobs:    cache.New[*gitlab.AllowedAgents](o.AllowedTTL, o.ErrorTTL, gitlab.Denied),
		users:   cache.New[*gitlab.AuthorizedUser](o.AllowedTTL, o.ErrorTTL, gitlab.Denied),
		signer:  signer{o.TokenKey},
		passing: passing(o.Headers),
		metrics: newMetrics(o.Metrics),
		pool:    new(readahead.Pool),
		ctx:     ctx, end: end,
	}
}

// CleanPrefix is a url_path_prefix with a slash at either end.
func CleanPrefix(prefix string) string {
	return "/" + strings.TrimLeft(strings.TrimSuffix(prefix, "/")+"/", "/")
}

// Wait waits for upgraded streams, or until ctx is done, and then returns its
// error.
func (p *Proxy) Wait(ctx context.Context) error { return p.streams.Wait(ctx) }

// Drain waits for upgraded streams until ctx is done, and then ends them.
func (p *Proxy) Drain(ctx context.Context) {
	if p.streams.Wait(ctx) != nil {
		p.Log.Info("upgraded streams are ended: the time to drain is over")
	}
	p.end()
	_ = p.streams.Wait(context.WithoutCancel(ctx)) // cannot fail
}

// ServeHTTP answers one request.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.cors(w, r) {
		return
	}
	path, ok := p.strip(r.URL.Path)
	if !ok {
		p.fail(w, r, http.StatusBadRequest, "the path does not begin with "+p.prefix, nil)
		return
	}
	upgrade, fault := http1.Upgrade(r)
	if why := checkUpgrade(r, path, upgrade, fault); why != "" {
		p.fail(w, r, http.StatusBadRequest, why, nil)
		return
	}
	caller, err := credentialsOf(r)
	if err != nil {
		p.unauthorized(w, r, err.Error())
		return
	}
	allowed, ok := p.authorize(w, r, path, caller)
	if !ok {
		return
	}
	if wantsToken(r, upgrade) {
		p.answerToken(w, r, path, allowed)
		return
	}
	if allowed.as != nil && impersonates(r.Header) {
		p.fail(w, r, http.StatusForbidden, "this agent's configuration already says as whom requests are made; the request's Impersonate headers cannot be added", nil)
		return
	}
	p.forward(w, r, forwarding{path: path, agent: allowed.agent, impersonate: allowed.as, upgrade: upgrade})
}

// upgradable says whether a connection may be upgraded to a protocol.
func upgradable(token string) bool {
	return strings.EqualFold(token, http1.WebSocket) || strings.EqualFold(token, http1.SPDY)
}

// strip removes the prefix and keeps the leading slash. The prefix itself
// without its slash is the root.
func (p *Proxy) strip(path string) (string, bool) {
	if path == strings.TrimSuffix(p.prefix, "/") {
		return "/", true
	}
	if !strings.HasPrefix(path, p.prefix) {
		return "", false
	}
	return path[len(p.prefix)-1:], true
}
