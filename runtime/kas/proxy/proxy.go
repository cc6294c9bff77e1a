// Package proxy is the Kubernetes API proxy: a request with GitLab credentials
// comes in over HTTP and goes to a cluster through an agent's tunnel. It knows
// neither listeners nor how tunnels come to be. Its law: a request reaches a
// cluster only as what GitLab allows it to be, its credentials never do, and
// whichever side ends first ends the other.
package proxy

import (
	"context"
	"errors"
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

// GitLab is who says what a CI job may use.
type GitLab interface {
	AllowedAgents(ctx context.Context, jobToken string) (*gitlab.AllowedAgents, error)
}

// Options are what the proxy needs.
type Options struct {
	Log         *slog.Logger
	GitLab      GitLab
	Tunnels     *tunnels.Registry
	Prefix      string        // url_path_prefix
	Origin      string        // GitLab's URL, the one origin that CORS allows; "" allows none
	AllowedTTL  time.Duration // of a job's permissions
	ErrorTTL    time.Duration // of a refusal
	FindTunnel  time.Duration // how long a request waits for a tunnel
	Version     string        // for Via and Server
	Metrics     prometheus.Registerer
	LingerAfter time.Duration // see DefaultLinger
}

// DefaultFindTunnel is GitLab's: the agent redials within 20 s.
const DefaultFindTunnel = 20 * time.Second

// DefaultLinger is how long an upgraded stream whose client has stopped
// sending may be silent before it is ended (at the most twice that passes). A client that is gone and one that
// only closed its sending direction look the same until something is written.
const DefaultLinger = 1500 * time.Millisecond

// Proxy is the handler of the Kubernetes API listener.
type Proxy struct {
	Options
	prefix  string // with a slash at either end
	allowed *cache.Cache[*gitlab.AllowedAgents]
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
		allowed: cache.New[*gitlab.AllowedAgents](o.AllowedTTL, o.ErrorTTL, gitlab.Denied),
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
	upgrade, err := http1.Upgrade(r)
	if err != nil {
		p.fail(w, r, http.StatusBadRequest, err.Error(), nil)
		return
	}
	if upgrade != "" && !strings.EqualFold(upgrade, http1.WebSocket) && !strings.EqualFold(upgrade, http1.SPDY) {
		p.fail(w, r, http.StatusBadRequest, "an upgrade to "+upgrade+" is not possible here, only to websocket and SPDY/3.1", nil)
		return
	}
	if upgrade != "" && r.ContentLength != 0 {
		p.fail(w, r, http.StatusBadRequest, "a request to upgrade the connection cannot have a body", nil)
		return
	}
	job, err := credentials(r)
	if err != nil {
		w.Header().Set("Gitlab-Unauthorized", "true")
		p.fail(w, r, http.StatusUnauthorized, "Unauthorized: "+err.Error(), nil)
		return
	}
	agent, as, ok := p.authorize(w, r, job)
	if !ok {
		return
	}
	if as != nil && impersonates(r.Header) {
		p.fail(w, r, http.StatusForbidden, "this agent's configuration already says as whom requests are made; the request's Impersonate headers cannot be added", nil)
		return
	}
	p.forward(w, r, forwarding{path: path, agent: agent, impersonate: as, upgrade: upgrade})
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

// authorize asks GitLab whether the job may use the agent, and as whom.
func (p *Proxy) authorize(w http.ResponseWriter, r *http.Request, job jobCredentials) (int64, *impersonation, bool) {
	answer, err := p.allowed.Get(r.Context(), cache.KeyOf(job.token), func(ctx context.Context) (*gitlab.AllowedAgents, error) {
		return p.GitLab.AllowedAgents(ctx, job.token)
	})
	switch {
	case err == nil:
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // the client has gone; GitLab is not to blame
	case errors.Is(err, gitlab.ErrUnauthorized):
		w.Header().Set("Gitlab-Unauthorized", "true")
		p.fail(w, r, http.StatusUnauthorized, "Unauthorized: GitLab does not accept this CI job token; is the job still running?", nil)
	case errors.Is(err, gitlab.ErrForbidden):
		p.fail(w, r, http.StatusForbidden, "Forbidden: GitLab forbids this CI job token", nil)
	case errors.Is(err, gitlab.ErrNotFound):
		p.fail(w, r, http.StatusNotFound, "Not found: GitLab knows no agents for this CI job token", nil)
	default:
		p.fail(w, r, http.StatusInternalServerError, "GitLab could not be asked which agents this CI job may use", err)
	}
	if err != nil {
		return 0, nil, false
	}
	for i := range answer.Agents {
		if a := &answer.Agents[i]; a.ID == job.agentID {
			return a.ID, impersonationOf(answer, a), true
		}
	}
	p.fail(w, r, http.StatusForbidden, "Forbidden: this CI job may not use this agent; add the job's project under ci_access in the agent's configuration", nil)
	return 0, nil, false
}
