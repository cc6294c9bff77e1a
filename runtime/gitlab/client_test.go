package gitlab

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"kasgen/runtime/host"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var secret = []byte("0123456789abcdef0123456789abcdef")

// client asks handler.
func client(t *testing.T, o Options, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	h := host.Machine(slog.New(slog.DiscardHandler))
	h.ReadFile = func(string) ([]byte, error) { return []byte(base64.StdEncoding.EncodeToString(secret) + "\n"), nil }
	o.Address, o.SecretFile, o.UserAgent = server.URL+"/gitlab/", "secret", "gitlab-kas/test"
	c, err := New(h, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

const jo = `{"agent": {"id": 42, "config_project": {"id": 7}}, "user": {"id": 4, "username": "jo"},
	"access_as": {"user": {"projects": [{"id": 3, "roles": ["developer"]}], "groups": []}}, "new": {"field": 1}}`

// TestAuthorizeUser holds the question to what Rails reads.
func TestAuthorizeUser(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ask  UserAccess
		body string
		code int
	}{
		"token":   {UserAccess{AgentID: 42, Type: PersonalAccessToken, Key: "glpat-x"}, `{"agent_id":"42","access_type":"personal_access_token","access_key":"glpat-x"}`, 200},
		"session": {UserAccess{AgentID: 42, Type: SessionCookie, Key: "s", CSRF: "c"}, `{"agent_id":"42","access_type":"session_cookie","access_key":"s","csrf_token":"c"}`, 201},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := client(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				got := []string{r.Method, r.URL.Path, string(body), r.Header.Get("Content-Type"), r.Header.Get("Accept"), r.Header.Get("User-Agent")}
				want := []string{"POST", "/gitlab/api/v4/internal/kubernetes/authorize_proxy_user", tt.body, "application/json", "application/json", "gitlab-kas/test"}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				var claims jwt.RegisteredClaims
				if _, err := jwt.ParseWithClaims(r.Header.Get("Gitlab-Kas-Api-Request"), &claims, func(*jwt.Token) (any, error) { return secret, nil },
					jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer("gitlab-kas"), jwt.WithAudience("gitlab"), jwt.WithExpirationRequired()); err != nil {
					t.Errorf("the JWT: %v", err)
				}
				w.WriteHeader(tt.code)
				io.WriteString(w, jo)
			})
			got, err := c.AuthorizeUser(t.Context(), tt.ask)
			if err != nil {
				t.Fatal(err)
			}
			want := &AuthorizedUser{User: User{ID: 4, Username: "jo"}, AccessAs: UserAccessAs{User: &UserRoles{Projects: []Roles{{ID: 3, Roles: []string{"developer"}}}, Groups: []Roles{}}}}
			want.Agent.ID, want.Agent.ConfigProject.ID = 42, 7
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestAnswers: what GitLab refuses is told from what it could not answer, and
// an answer that leaves open who or as whom allows nothing.
func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		code int
		body string
		want error // nil: any that is no refusal
	}{
		"401":             {401, "", ErrUnauthorized},
		"403":             {403, "", ErrForbidden},
		"404":             {404, "", ErrNotFound},
		"400":             {400, "", nil},
		"500":             {500, jo, nil},
		"204":             {204, "", nil},
		"a redirection":   {302, jo, nil},
		"not JSON":        {200, "<html>", nil},
		"cut short":       {200, jo[:40], nil},
		"nothing":         {200, "{}", nil},
		"another agent":   {200, strings.Replace(jo, "42", "43", 1), nil},
		"nobody":          {200, strings.Replace(jo, `"jo"`, `""`, 1), nil},
		"as nobody":       {200, strings.Replace(jo, `"access_as"`, `"access"`, 1), nil},
		"as both":         {200, strings.Replace(jo, `"access_as": {`, `"access_as": {"agent": {}, `, 1), nil},
		"as null":         {200, strings.Replace(jo, `"user": {"projects"`, `"other": {"projects"`, 1), nil},
		"number as words": {200, strings.Replace(jo, "42", `"x"`, 1), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := client(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
				if tt.code == 302 {
					w.Header().Set("Location", "/elsewhere")
				}
				w.WriteHeader(tt.code)
				if tt.code != 204 {
					io.WriteString(w, tt.body)
				}
			})
			u, err := c.AuthorizeUser(t.Context(), UserAccess{AgentID: 42, Type: PersonalAccessToken, Key: "glpat-SECRET"})
			if err == nil || u != nil || Denied(err) != (tt.want != nil) || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("%v, %v; want %v", u, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "SECRET") {
				t.Errorf("the error repeats the token: %v", err)
			}
		})
	}
	as := client(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"agent": {"id": 42}, "user": {"id": 4, "username": "jo"}, "access_as": {"agent": {}}}`)
	})
	if u, err := as.AuthorizeUser(t.Context(), UserAccess{AgentID: 42}); err != nil || u.AccessAs.Agent == nil || u.AccessAs.User != nil {
		t.Errorf("as the agent: %v, %v", u, err)
	}
}

// TestRateLimit: questions beyond the rate wait, and one who cannot wait is told.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	answer := func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_ = json.NewEncoder(w).Encode(AgentInfo{ProjectID: 1, AgentID: 2})
	}
	slow := client(t, Options{PerSecond: 0.001, Burst: 2}, answer)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for range 2 {
		if _, err := slow.AgentInfo(ctx, "t"); err != nil {
			t.Error(err)
		}
	}
	if _, err := slow.AgentInfo(ctx, "t"); err == nil || Denied(err) || !strings.Contains(err.Error(), "gitlab.api_rate_limit") || asked.Load() != 2 {
		t.Errorf("beyond the rate: %v, asked %d times", err, asked.Load())
	}
	quick := client(t, Options{PerSecond: 1000, Burst: 1}, answer)
	for range 20 {
		if _, err := quick.AgentInfo(t.Context(), "t"); err != nil {
			t.Error(err)
		}
	}
	without := client(t, Options{}, answer)
	for range 20 {
		if _, err := without.AgentInfo(t.Context(), "t"); err != nil {
			t.Error(err)
		}
	}
}

// TestJobRetries: a job's question is asked again after a fault that may pass,
// and after no other.
func TestJobRetries(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		codes []int
		asked int32
		ok    bool
	}{
		"passing":  {[]int{503, 500, 200}, 3, true},
		"refused":  {[]int{401, 200}, 1, false},
		"nonsense": {[]int{418, 200}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			c := client(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Job-Token") != "job" || r.Header.Get("Gitlab-Kas-Api-Request") != "" {
					t.Errorf("header %v", r.Header)
				}
				w.WriteHeader(tt.codes[asked.Add(1)-1])
				io.WriteString(w, "{}")
			})
			_, err := c.AllowedAgents(t.Context(), "job")
			if (err == nil) != tt.ok || asked.Load() != tt.asked {
				t.Errorf("%v after %d questions, want %d", err, asked.Load(), tt.asked)
			}
		})
	}
}
