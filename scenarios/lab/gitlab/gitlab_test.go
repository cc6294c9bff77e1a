package gitlab

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	rungitlab "kasgen/runtime/gitlab"
	"kasgen/runtime/host"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var secret = []byte("0123456789abcdef0123456789abcdef")

func options(t *testing.T) Options {
	return Options{
		Log:    slog.New(slog.NewTextHandler(t.Output(), nil)),
		Secret: secret,
		Agents: []Agent{{ID: 42, ProjectID: 7, Name: "wss", Token: "agent-token"}, {ID: 43, ProjectID: 7, Name: "grpcs", Token: "other-token"}},
		Jobs: []Job{{
			Token: "job-token", ID: 1, PipelineID: 2, ProjectID: 3, UserID: 4, Username: "jo", Groups: []int64{5, 6},
			Environment: &Environment{Slug: "prod", Tier: "production"},
			AllowedAgents: []AllowedAgent{
				{ID: 42, ProjectID: 7, AccessAs: AccessAs{CIJob: true}},
				{ID: 43, ProjectID: 7, DefaultNamespace: "apps", AccessAs: AccessAs{Impersonate: &Impersonate{
					Username: "u", Groups: []string{"g"}, UID: "i", Extra: []Extra{{Key: "k", Val: []string{"v"}}}}}},
				{ID: 44, ProjectID: 8},
			},
		}, {Token: "bare-token", ID: 9}},
		Users: []User{{ID: 4, Username: "jo", Token: "pat", Session: "cookie", CSRF: "csrf", Agents: []UserAgent{
			{ID: 42, Projects: []Roles{{ID: 3, Roles: []string{"developer"}}}},
		}}, {ID: 5, Username: "al", Token: "pat-2", Agents: []UserAgent{{ID: 43}}}},
	}
}

func start(t *testing.T) *GitLab {
	t.Helper()
	g, err := Start(t.Context(), options(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// signed makes a JWT as kas does, changed by edit.
func signed(t *testing.T, method jwt.SigningMethod, key any, edit func(*jwt.RegisteredClaims)) string {
	t.Helper()
	now := time.Now()
	claims := jwt.RegisteredClaims{
		Issuer: "gitlab-kas", Audience: jwt.ClaimStrings{"gitlab"}, IssuedAt: jwt.NewNumericDate(now),
		NotBefore: jwt.NewNumericDate(now.Add(-5 * time.Second)), ExpiresAt: jwt.NewNumericDate(now.Add(30 * time.Second)),
	}
	if edit != nil {
		edit(&claims)
	}
	token, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func ask(t *testing.T, g *GitLab, method, path, body string, headers map[string]string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, g.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("Server") != server {
		t.Errorf("%s %s: Server header %q", method, path, resp.Header.Get("Server"))
	}
	if got := resp.Header.Get("Content-Type"); len(text) > 0 && got != "application/json" {
		t.Errorf("%s %s: content type %q", method, path, got)
	}
	return resp.StatusCode, string(text)
}

const kubernetes = "/api/v4/internal/kubernetes/"

func TestSignature(t *testing.T) {
	t.Parallel()
	g := start(t)
	ago := func(d time.Duration) *jwt.NumericDate { return jwt.NewNumericDate(time.Now().Add(-d)) }
	for _, test := range []struct {
		name  string
		token string
		code  int
	}{
		{"good", signed(t, jwt.SigningMethodHS256, secret, nil), 200},
		{"within the leeway", signed(t, jwt.SigningMethodHS256, secret, func(c *jwt.RegisteredClaims) { c.ExpiresAt = ago(30 * time.Second) }), 200},
		{"none", "", 401},
		{"garbage", "a.b.c", 401},
		{"another key", signed(t, jwt.SigningMethodHS256, []byte("x"), nil), 401},
		{"another method", signed(t, jwt.SigningMethodHS512, secret, nil), 401},
		{"no method", signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil), 401},
		{"another issuer", signed(t, jwt.SigningMethodHS256, secret, func(c *jwt.RegisteredClaims) { c.Issuer = "x" }), 401},
		{"another audience", signed(t, jwt.SigningMethodHS256, secret, func(c *jwt.RegisteredClaims) { c.Audience = jwt.ClaimStrings{"x"} }), 401},
		{"expired", signed(t, jwt.SigningMethodHS256, secret, func(c *jwt.RegisteredClaims) { c.ExpiresAt = ago(2 * time.Minute) }), 401},
		{"without end", signed(t, jwt.SigningMethodHS256, secret, func(c *jwt.RegisteredClaims) { c.ExpiresAt = nil }), 401},
		{"not yet", signed(t, jwt.SigningMethodHS256, secret, func(c *jwt.RegisteredClaims) { c.NotBefore = ago(-2 * time.Minute) }), 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			code, body := ask(t, g, "GET", kubernetes+"agent_info", "", map[string]string{
				"Gitlab-Kas-Api-Request": test.token, "Gitlab-Agent-Api-Request": "agent-token"})
			if code != test.code {
				t.Errorf("code %d, want %d: %s", code, test.code, body)
			}
		})
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	g := start(t)
	jwtHeader := signed(t, jwt.SigningMethodHS256, secret, nil)
	const agentk = "/api/v4/internal/agents/agentk/"
	info := `{"project_id":7,"agent_id":42,"agent_name":"wss","gitaly_info":{"address":"tcp://127.0.0.1:1","token":"","features":{}},"gitaly_repository":{"storage_name":"default","relative_path":"lab/project-7.git","gl_repository":"project-7","gl_project_path":"lab/project-7"},"default_branch":"main"}`
	unauthorized := `{"message":"401 Unauthorized"}`
	for _, test := range []struct {
		name, method, path, body, header, value string
		code                                    int
		want                                    string
	}{
		{"agent, newest header", "GET", kubernetes + "agent_info", "", "Gitlab-Agent-Api-Request", "agent-token", 200, info},
		{"agent, newer header", "GET", kubernetes + "agent_info", "", "Gitlab-Agentk-Api-Request", "agent-token", 200, info},
		{"agent, oldest header", "GET", agentk + "agent_info", "", "Authorization", "Bearer agent-token", 200, info},
		{"agent, another token", "GET", agentk + "agent_info", "", "Gitlab-Agent-Api-Request", "x", 401, unauthorized},
		{"agent, no token", "GET", agentk + "agent_info", "", "", "", 401, unauthorized},
		{"job", "GET", "/api/v4/job/allowed_agents", "", "Job-Token", "job-token", 200,
			`{"allowed_agents":[{"id":42,"config_project":{"id":7},"configuration":{"access_as":{"ci_job":{}}}},{"id":43,"config_project":{"id":7},"configuration":{"default_namespace":"apps","access_as":{"impersonate":{"username":"u","groups":["g"],"uid":"i","extra":[{"key":"k","val":["v"]}]}}}},{"id":44,"config_project":{"id":8},"configuration":{"access_as":{"agent":{}}}}],"job":{"id":1},"pipeline":{"id":2},"project":{"id":3,"groups":[{"id":5},{"id":6}]},"user":{"id":4,"username":"jo"},"environment":{"slug":"prod","tier":"production"}}`},
		{"job without anything", "GET", "/api/v4/job/allowed_agents", "", "Job-Token", "bare-token", 200,
			`{"allowed_agents":[],"job":{"id":9},"pipeline":{"id":0},"project":{"id":0,"groups":[]},"user":{"id":0,"username":""}}`},
		{"job, another token", "GET", "/api/v4/job/allowed_agents", "", "Job-Token", "x", 401, unauthorized},
		{"job, no token", "GET", "/api/v4/job/allowed_agents", "", "", "", 401, unauthorized},
		{"user by token", "POST", kubernetes + "authorize_proxy_user", `{"agent_id":"42","access_type":"personal_access_token","access_key":"pat"}`, "", "", 200,
			`{"agent":{"id":42,"config_project":{"id":7}},"user":{"id":4,"username":"jo"},"access_as":{"user":{"projects":[{"id":3,"roles":["developer"]}],"groups":[]}}}`},
		{"user by session", "POST", kubernetes + "authorize_proxy_user", `{"agent_id":42,"access_type":"session_cookie","access_key":"cookie","csrf_token":"csrf"}`, "", "", 200,
			`{"agent":{"id":42,"config_project":{"id":7}},"user":{"id":4,"username":"jo"},"access_as":{"user":{"projects":[{"id":3,"roles":["developer"]}],"groups":[]}}}`},
		{"user as the agent", "POST", kubernetes + "authorize_proxy_user", `{"agent_id":"43","access_type":"personal_access_token","access_key":"pat-2"}`, "", "", 200,
			`{"agent":{"id":43,"config_project":{"id":7}},"user":{"id":5,"username":"al"},"access_as":{"agent":{}}}`},
		{"user, another csrf token", "POST", kubernetes + "authorize_proxy_user", `{"agent_id":42,"access_type":"session_cookie","access_key":"cookie","csrf_token":"x"}`, "", "", 401, unauthorized},
		{"user, no key", "POST", kubernetes + "authorize_proxy_user", `{"agent_id":42,"access_type":"session_cookie"}`, "", "", 401, unauthorized},
		{"user, not their agent", "POST", kubernetes + "authorize_proxy_user", `{"agent_id":"43","access_type":"personal_access_token","access_key":"pat"}`, "", "", 403, `{"message":"403 Forbidden"}`},
		{"user, no such agent", "POST", kubernetes + "authorize_proxy_user", `{"agent_id":"1","access_type":"personal_access_token","access_key":"pat"}`, "", "", 404, `{"message":"404 Not Found"}`},
		{"user, another type", "POST", kubernetes + "authorize_proxy_user", `{"agent_id":"42","access_type":"x","access_key":"pat"}`, "", "", 400, `{"message":"400 Bad Request"}`},
		{"user, no number", "POST", kubernetes + "authorize_proxy_user", `{"agent_id":"x","access_type":"session_cookie","access_key":"pat"}`, "", "", 400, `{"message":"400 Bad Request"}`},
		{"user, no JSON", "POST", kubernetes + "authorize_proxy_user", `{`, "", "", 400, `{"message":"400 Bad Request"}`},
		{"usage", "POST", kubernetes + "usage_metrics", `{"counters":{},"unique_counters":{}}`, "", "", 204, ""},
		{"events", "POST", kubernetes + "agent_events", `{"events":{}}`, "", "", 204, ""},
		{"configuration", "POST", kubernetes + "agent_configuration", `{"agent_id":42,"agent_config":{}}`, "", "", 204, ""},
		{"configuration of no agent", "POST", kubernetes + "agent_configuration", `{"agent_id":1,"agent_config":{}}`, "", "", 404, `{"message":"404 Not Found"}`},
		{"elsewhere", "GET", "/api/v4/projects", "", "", "", 404, `{"error":"404 Not Found"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			headers := map[string]string{"Gitlab-Kas-Api-Request": jwtHeader}
			if test.header == "Job-Token" {
				headers = map[string]string{} // kas signs nothing here
			}
			if test.header != "" {
				headers[test.header] = test.value
			}
			code, body := ask(t, g, test.method, test.path, test.body, headers)
			if d := cmp.Diff(test.want, body); code != test.code || d != "" {
				t.Errorf("code %d, want %d (-want +got):\n%s", code, test.code, d)
			}
			if body != "" && !json.Valid([]byte(body)) {
				t.Errorf("no JSON: %s", body)
			}
		})
	}
}

// TestClient holds the stand-in to what kas's own client asks.
func TestClient(t *testing.T) {
	t.Parallel()
	g := start(t)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString(secret)), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := rungitlab.New(host.Machine(slog.New(slog.DiscardHandler)), rungitlab.Options{Address: g.URL(), SecretFile: file})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	info, err := c.AgentInfo(t.Context(), "agent-token")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(rungitlab.AgentInfo{ProjectID: 7, AgentID: 42, AgentName: "wss"}, info); d != "" {
		t.Errorf("agent_info (-want +got):\n%s", d)
	}
	allowed, err := c.AllowedAgents(t.Context(), "job-token")
	if err != nil {
		t.Fatal(err)
	}
	if len(allowed.Agents) != 3 || allowed.Agents[0].Configuration.AccessAs.CIJob == nil || allowed.User.Username != "jo" {
		t.Errorf("allowed_agents: %+v", allowed)
	}
	user, err := c.AuthorizeUser(t.Context(), rungitlab.UserAccess{AgentID: 42, Type: rungitlab.SessionCookie, Key: "cookie", CSRF: "csrf"})
	if err != nil || user.User.Username != "jo" || len(user.AccessAs.User.Projects) != 1 || user.AccessAs.User.Projects[0].Roles[0] != "developer" {
		t.Errorf("authorize_proxy_user by session: %+v, %v", user, err)
	}
	user, err = c.AuthorizeUser(t.Context(), rungitlab.UserAccess{AgentID: 43, Type: rungitlab.PersonalAccessToken, Key: "pat-2"})
	if err != nil || user.User.ID != 5 || user.AccessAs.User != nil {
		t.Errorf("authorize_proxy_user by token: %+v, %v", user, err)
	}
	if _, err := c.AuthorizeUser(t.Context(), rungitlab.UserAccess{AgentID: 42, Type: rungitlab.SessionCookie, Key: "cookie"}); !rungitlab.Denied(err) {
		t.Errorf("authorize_proxy_user without the CSRF token: %v", err)
	}
	if _, err := c.AgentInfo(t.Context(), "x"); !rungitlab.Denied(err) {
		t.Errorf("another token: %v", err)
	}
	if got := g.Calls(AgentInfo); got != 2 {
		t.Errorf("%d calls of agent_info, want 2", got)
	}

	g.Fail(AgentInfo, http.StatusServiceUnavailable)
	if _, err := c.AgentInfo(t.Context(), "agent-token"); err == nil || rungitlab.Denied(err) {
		t.Errorf("while it fails: %v", err)
	}
	g.Fail(AgentInfo, http.StatusForbidden)
	if _, err := c.AgentInfo(t.Context(), "agent-token"); !rungitlab.Denied(err) {
		t.Errorf("while it is forbidden: %v", err)
	}
	g.Fail(AgentInfo, 0)
	if _, err := c.AgentInfo(t.Context(), "agent-token"); err != nil {
		t.Errorf("after it failed: %v", err)
	}
	if agents, all := g.Calls(AgentInfo), g.Calls(AllowedAgents); agents != 5 || all != 1 {
		t.Errorf("%d and %d calls, want 5 and 1", agents, all)
	}
}

func TestStartWithoutSecret(t *testing.T) {
	t.Parallel()
	if g, err := Start(t.Context(), Options{}); err == nil {
		t.Error("it started", g.Close())
	}
}
