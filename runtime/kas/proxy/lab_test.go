package proxy

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"kasgen/runtime/gitlab"
	"kasgen/runtime/kas/tunnels"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const origin = "https://gitlab.example.com"

// fakeGitLab knows good keys, and counts what it is asked.
type fakeGitLab struct {
	mu    sync.Mutex
	asked map[string]int
}

func (g *fakeGitLab) count(what string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked[what]++
}

func (g *fakeGitLab) times(what string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked[what]
}

func (g *fakeGitLab) AllowedAgents(_ context.Context, token string) (*gitlab.AllowedAgents, error) {
	g.count("job " + token)
	if token != "good" && token != "good-half-good-half" {
		return nil, gitlab.ErrUnauthorized
	}
	return &gitlab.AllowedAgents{Agents: []gitlab.AllowedAgent{{ID: 7}}}, nil
}

func (g *fakeGitLab) AuthorizeUser(_ context.Context, a gitlab.UserAccess) (*gitlab.AuthorizedUser, error) {
	g.count(string(a.Type) + " " + itoa(a.AgentID) + " " + a.Key + " " + a.CSRF)
	good := a.Type == gitlab.PersonalAccessToken && (a.Key == "good" || a.Key == "good-half-good-half") ||
		a.Type == gitlab.SessionCookie && a.Key == "se/ss+ion" && a.CSRF == "csrf"
	if !good || a.AgentID == 9 {
		return nil, gitlab.ErrForbidden
	}
	u := &gitlab.AuthorizedUser{User: gitlab.User{ID: 4, Username: "jo"}}
	u.Agent.ID, u.Agent.ConfigProject.ID = a.AgentID, 3
	u.AccessAs.User = &gitlab.UserRoles{Projects: []gitlab.Roles{{ID: 5, Roles: []string{"developer", "reporter"}}}, Groups: []gitlab.Roles{{ID: 6, Roles: []string{"owner"}}}}
	return u, nil
}

// newProxy has no agent: what is allowed ends as 502 at once.
func newProxy(t testing.TB, edit func(*Options)) (*Proxy, *fakeGitLab) {
	t.Helper()
	g := &fakeGitLab{asked: map[string]int{}}
	o := Options{Log: slog.New(slog.DiscardHandler), GitLab: g, Tunnels: tunnels.New(), Prefix: "/k8s-proxy/", Origin: origin,
		AllowedTTL: time.Minute, ErrorTTL: time.Minute, FindTunnel: time.Nanosecond, LingerAfter: time.Second, Version: "test",
		TokenKey: make([]byte, 72), Metrics: prometheus.NewRegistry()}
	if edit != nil {
		edit(&o)
	}
	return New(o), g
}

type answered struct {
	code    int
	message string // of the v1 Status
	header  http.Header
	body    string
}

func ask(t testing.TB, p *Proxy, method, target string, header http.Header) answered {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	r.Header = header
	if r.Header == nil {
		r.Header = http.Header{}
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	a := answered{code: w.Code, header: w.Header(), body: w.Body.String()}
	var s statusBody
	if a.code >= 400 {
		if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil || s.Kind != "Status" || s.APIVersion != "v1" || s.Code != w.Code || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %d is no v1 Status: %q", method, target, w.Code, w.Body)
		}
	}
	a.message = s.Message
	return a
}

// TestOrigins: pages of GitLab's own origin may use the proxy, and no others.
func TestOrigins(t *testing.T) {
	t.Parallel()
	for of, want := range map[string]string{
		"https://gitlab.example.com":            "https://gitlab.example.com",
		"https://GitLab.example.com/gitlab/":    "https://gitlab.example.com",
		"https://gitlab.example.com:443":        "https://gitlab.example.com",
		"http://gitlab.example.com:443/":        "http://gitlab.example.com:443",
		"http://gitlab.example.com:80":          "http://gitlab.example.com",
		"https://gitlab.example.com:8443/x?y#z": "https://gitlab.example.com:8443",
		"gitlab.example.com":                    "",
		"":                                      "",
	} {
		if got := OriginOf(of); got != want {
			t.Errorf("origin of %q: %q, want %q", of, got, want)
		}
	}
	p, g := newProxy(t, nil)
	preflight := http.Header{"Origin": {origin}, "Access-Control-Request-Method": {"PATCH"}, "Access-Control-Request-Headers": {"x-csrf-token,gitlab-agent-id"}}
	a := ask(t, p, "OPTIONS", "/k8s-proxy/api", preflight)
	for name, want := range map[string]string{"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true", "Vary": "Origin",
		"Access-Control-Allow-Headers": "x-csrf-token,gitlab-agent-id", "Access-Control-Max-Age": "86400",
		"Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH"} {
		if got := a.header.Get(name); a.code != 200 || got != want {
			t.Errorf("preflight: %d, %s %q, want %q", a.code, name, got, want)
		}
	}
	for _, other := range [][]string{{"https://evil.example.com"}, {"null"}, {origin + ".evil.example.com"}, {"http://gitlab.example.com"}, {""}, {origin, origin}} {
		for _, method := range []string{"OPTIONS", "GET"} {
			a := ask(t, p, method, "/k8s-proxy/api", http.Header{"Origin": other, "Authorization": {"Bearer ci:7:good"}})
			if a.code != 403 || a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s from %q: %d, allowed %q", method, other, a.code, a.header.Get("Access-Control-Allow-Origin"))
			}
		}
	}
	if n := g.times("job good"); n != 0 {
		t.Errorf("GitLab was asked %d times for other origins", n)
	}
	// A refusal can be read by the page that it is for.
	if a := ask(t, p, "GET", "/k8s-proxy/api", http.Header{"Origin": {origin}}); a.code != 401 || a.header.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("a refusal: %d, allowed %q", a.code, a.header.Get("Access-Control-Allow-Origin"))
	}
	none, _ := newProxy(t, func(o *Options) { o.Origin = "" })
	if a := ask(t, none, "GET", "/k8s-proxy/api", http.Header{"Origin": {""}}); a.code != 403 {
		t.Errorf("without external_url: %d", a.code)
	}
}

// TestPrefixes: a path with and without the slash at its end, and none at all
// where a balancer has taken it away.
func TestPrefixes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ prefix, path, want string }{
		{"", "/version", "/version"}, {"/", "/version", "/version"}, {"/", "/", "/"}, {"", "/k8s-proxy/version", "/k8s-proxy/version"},
		{"/k8s-proxy", "/k8s-proxy/version", "/version"}, {"/k8s-proxy/", "/k8s-proxy/version", "/version"}, {"k8s-proxy", "/k8s-proxy/version", "/version"},
		{"/k8s-proxy", "/k8s-proxy/", "/"}, {"/k8s-proxy/", "/k8s-proxy", "/"}, {"/k8s-proxy", "/k8s-proxy//a", "//a"},
		{"/k8s-proxy", "/version", ""}, {"/k8s-proxy", "/k8s-proxyversion", ""}, {"/k8s-proxy/", "/", ""},
		{"/-/kubernetes-agent/k8s-proxy", "/-/kubernetes-agent/k8s-proxy/api", "/api"},
	} {
		p, _ := newProxy(t, func(o *Options) { o.Prefix = tt.prefix })
		got, ok := p.strip(tt.path)
		if ok != (tt.want != "") || got != tt.want {
			t.Errorf("prefix %q, path %q: %q, %t; want %q", tt.prefix, tt.path, got, ok, tt.want)
		}
	}
}
