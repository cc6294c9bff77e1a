package gitlab

import (
	"net/http"
)

// Endpoint is one thing that kas asks, for counting and for failing.
type Endpoint string

// The endpoints. AgentInfo has two addresses: GitLab is moving it.
const (
	AgentInfo          Endpoint = "agent_info"
	AllowedAgents      Endpoint = "allowed_agents"
	AuthorizeProxyUser Endpoint = "authorize_proxy_user"
	UsageMetrics       Endpoint = "usage_metrics"
	AgentEvents        Endpoint = "agent_events"
	AgentConfiguration Endpoint = "agent_configuration"
)

// Calls counts the requests to an endpoint, those that were refused and those
// that were made to fail included.
func (g *GitLab) Calls(e Endpoint) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.calls[e]
}

// Fail makes an endpoint answer with a status, whatever it is asked, until it
// is told another; 0 ends that.
func (g *GitLab) Fail(e Endpoint, status int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if status == 0 {
		delete(g.faults, e)
		return
	}
	g.faults[e] = status
}

func (g *GitLab) called(e Endpoint) (fault int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls[e]++
	return g.faults[e]
}

// route is one address. Those with signed ask for kas's JWT.
type route struct {
	endpoint Endpoint
	pattern  string
	signed   bool
	serve    http.HandlerFunc
}

func (g *GitLab) routes() []route {
	const internal = "/api/v4/internal/"
	return []route{
		{AgentInfo, "GET " + internal + "kubernetes/agent_info", true, g.agentInfo},
		{AgentInfo, "GET " + internal + "agents/agentk/agent_info", true, g.agentInfo},
		{AllowedAgents, "GET /api/v4/job/allowed_agents", false, g.allowedAgents},
		{AuthorizeProxyUser, "POST " + internal + "kubernetes/authorize_proxy_user", true, g.authorizeProxyUser},
		{UsageMetrics, "POST " + internal + "kubernetes/usage_metrics", true, g.accept},
		{AgentEvents, "POST " + internal + "kubernetes/agent_events", true, g.accept},
		{AgentConfiguration, "POST " + internal + "kubernetes/agent_configuration", true, g.agentConfiguration},
	}
}

func (g *GitLab) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusNotFound, map[string]string{"error": "404 Not Found"})
	})
	for _, r := range g.routes() {
		mux.HandleFunc(r.pattern, func(w http.ResponseWriter, req *http.Request) {
			if status := g.called(r.endpoint); status != 0 {
				refuse(w, status)
				return
			}
			if r.signed {
				if err := g.verify(req.Header.Get("Gitlab-Kas-Api-Request")); err != nil {
					g.options.Log.Warn("kas's request to the stand-in GitLab is not signed", "endpoint", r.endpoint, "error", err)
					refuse(w, http.StatusUnauthorized)
					return
				}
			}
			r.serve(w, req)
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", server)
		g.options.Log.Debug("request to the stand-in GitLab", "method", r.Method, "path", r.URL.Path)
		mux.ServeHTTP(w, r)
	})
}
