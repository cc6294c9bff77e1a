package proxy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/kasrpc/kubeapi"
	"kasgen/runtime/gitlab"

	"google.golang.org/protobuf/testing/protocmp"
)

func with(h http.Header, pairs ...string) http.Header {
	h = h.Clone()
	if h == nil {
		h = http.Header{}
	}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

// TestCredentials holds each form to what it may look like.
func TestCredentials(t *testing.T) {
	t.Parallel()
	cookie := http.Header{"Cookie": {"a=b; _gitlab_kas=se%2Fss%2Bion; c=d"}}
	full := with(cookie, agentHeader, "7", csrfHeader, "csrf")
	session := credentials{access: accessSession, agentID: 7, key: "se/ss+ion", csrf: "csrf", cookies: 1}
	for name, tt := range map[string]struct {
		target string
		header http.Header
		want   credentials
		fault  string // a part of the error
	}{
		"job":                    {"/", http.Header{"Authorization": {"Bearer ci:7:a:b"}}, credentials{access: accessJob, agentID: 7, key: "a:b"}, ""},
		"token":                  {"/", http.Header{"Authorization": {"Bearer pat:7:glpat-x"}}, credentials{access: accessToken, agentID: 7, key: "glpat-x"}, ""},
		"token over cookie":      {"/", with(full, "Authorization", "Bearer pat:8:x"), credentials{access: accessToken, agentID: 8, key: "x"}, ""},
		"bad token over cookie":  {"/", with(full, "Authorization", "Bearer x"), credentials{}, "neither of the form"},
		"lower case":             {"/", http.Header{"Authorization": {"bearer pat:7:x"}}, credentials{}, "not of the form Bearer"},
		"no key":                 {"/", http.Header{"Authorization": {"Bearer pat:7:"}}, credentials{}, "pat:AGENT_ID:TOKEN"},
		"agent 0":                {"/", http.Header{"Authorization": {"Bearer pat:0:x"}}, credentials{}, "positive whole number"},
		"agent too large":        {"/", http.Header{"Authorization": {"Bearer pat:9223372036854775808:x"}}, credentials{}, "positive whole number"},
		"nothing":                {"/", nil, credentials{}, "no credentials"},
		"another cookie":         {"/", http.Header{"Cookie": {"a=b"}}, credentials{}, "no credentials"},
		"session":                {"/", full, session, ""},
		"session by query":       {"/x?gitlab-agent-id=7&gitlab-csrf-token=csrf", cookie, session, ""},
		"header over query":      {"/x?gitlab-agent-id=8&gitlab-csrf-token=x", full, session, ""},
		"header and query":       {"/x?gitlab-csrf-token=csrf", with(cookie, agentHeader, "7"), session, ""},
		"no agent":               {"/", with(cookie, csrfHeader, "csrf"), credentials{}, "neither a Gitlab-Agent-Id header nor a gitlab-agent-id parameter"},
		"two agents":             {"/", with(full, agentHeader, "8"), credentials{}, "more than one"},
		"two agents by query":    {"/x?gitlab-agent-id=7&gitlab-agent-id=7&gitlab-csrf-token=csrf", cookie, credentials{}, "more than one"},
		"agent is no number":     {"/", with(cookie, agentHeader, "x", csrfHeader, "csrf"), credentials{}, "positive whole number"},
		"no CSRF token":          {"/", with(cookie, agentHeader, "7"), credentials{}, "neither a X-Csrf-Token header nor a gitlab-csrf-token parameter"},
		"empty CSRF token":       {"/", with(cookie, agentHeader, "7", csrfHeader, ""), credentials{}, "neither a X-Csrf-Token"},
		"two CSRF tokens":        {"/", with(full, csrfHeader, "csrf"), credentials{}, "more than one"},
		"empty session":          {"/", http.Header{"Cookie": {"_gitlab_kas="}, agentHeader: {"7"}, csrfHeader: {"csrf"}}, credentials{}, "cannot be read"},
		"session badly escaped":  {"/", http.Header{"Cookie": {"_gitlab_kas=%zz"}, agentHeader: {"7"}, csrfHeader: {"csrf"}}, credentials{}, "cannot be read"},
		"signed":                 {"/", http.Header{subprotocols: {"v4.channel.k8s.io, " + tokenSubprotocol + "a.b"}}, credentials{access: accessSigned, key: "a.b"}, ""},
		"signed over session":    {"/", with(full, subprotocols, tokenSubprotocol+"a.b"), credentials{access: accessSigned, key: "a.b"}, ""},
		"token over signed":      {"/", http.Header{"Authorization": {"Bearer pat:8:x"}, subprotocols: {tokenSubprotocol + "a"}}, credentials{access: accessToken, agentID: 8, key: "x"}, ""},
		"two signed":             {"/", http.Header{subprotocols: {tokenSubprotocol + "a", tokenSubprotocol + "b"}}, credentials{}, "more than one WebSocket token"},
		"signed, empty":          {"/", http.Header{subprotocols: {tokenSubprotocol}}, credentials{}, "not made here"},
		"subprotocols, no token": {"/", http.Header{subprotocols: {"v4.channel.k8s.io"}}, credentials{}, "no credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("GET", tt.target, nil)
			r.Header = tt.header
			got, err := credentialsOf(r)
			if tt.fault != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fault) {
					t.Errorf("got %v, want %q", err, tt.fault)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(credentials{})); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestWhoIsAllowed: 502 is what the allowed get here, where no agent is.
func TestWhoIsAllowed(t *testing.T) {
	t.Parallel()
	session := func(key, csrf, agent string) http.Header {
		return http.Header{"Cookie": {"_gitlab_kas=" + key}, csrfHeader: {csrf}, agentHeader: {agent}, "Origin": {origin}}
	}
	two := session("bad", "csrf", "7")
	two.Add("Cookie", "_gitlab_kas=se%2Fss%2Bion")
	for name, tt := range map[string]struct {
		header http.Header
		code   int
		want   string
	}{
		"job":                  {http.Header{"Authorization": {"Bearer ci:7:good"}}, 502, ""},
		"another agent":        {http.Header{"Authorization": {"Bearer ci:8:good"}}, 403, "may not use this agent"},
		"token":                {http.Header{"Authorization": {"Bearer pat:7:good"}}, 502, ""},
		"bad token":            {http.Header{"Authorization": {"Bearer pat:7:bad"}}, 401, "does not accept a personal access token for this agent"},
		"agent not for them":   {http.Header{"Authorization": {"Bearer pat:9:good"}}, 401, "user_access"},
		"session":              {session("se%2Fss%2Bion", "csrf", "7"), 502, ""},
		"bad session":          {session("x", "csrf", "7"), 401, "does not accept a session"},
		"another CSRF token":   {session("se%2Fss%2Bion", "other", "7"), 401, "does not accept a session"},
		"somebody else's form": {http.Header{"Cookie": {"_gitlab_kas=se%2Fss%2Bion"}, agentHeader: {"7"}}, 401, "neither a X-Csrf-Token"},
		"two sessions":         {two, 401, "several cookies"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _ := newProxy(t, nil)
			a := ask(t, p, "GET", "/k8s-proxy/api", tt.header)
			if a.code != tt.code || !strings.Contains(a.message, tt.want) {
				t.Errorf("%d %q, want %d %q", a.code, a.message, tt.code, tt.want)
			}
			if marked := a.header.Get("Gitlab-Unauthorized") == "true"; marked != (a.code == 401) {
				t.Errorf("Gitlab-Unauthorized %t with %d", marked, a.code)
			}
		})
	}
}

// TestDeniedTokenChangesNobodyElse: answers are kept by all that they depend
// on, so that one who knows half of a token, or a token and not the CSRF
// token, can take nothing from its owner.
func TestDeniedTokenChangesNobodyElse(t *testing.T) {
	t.Parallel()
	p, g := newProxy(t, nil)
	send := func(header http.Header) int { return ask(t, p, "GET", "/k8s-proxy/api", header).code }
	session := func(csrf, agent string) http.Header {
		return http.Header{"Cookie": {"_gitlab_kas=se%2Fss%2Bion"}, csrfHeader: {csrf}, agentHeader: {agent}}
	}
	for range 3 {
		for name, tt := range map[string]struct {
			header http.Header
			want   int
		}{
			"job, half":             {http.Header{"Authorization": {"Bearer ci:7:good-half-bad-half!"}}, 401},
			"job, whole":            {http.Header{"Authorization": {"Bearer ci:7:good-half-good-half"}}, 502},
			"token, half":           {http.Header{"Authorization": {"Bearer pat:7:good-half-bad-half!"}}, 401},
			"token, whole":          {http.Header{"Authorization": {"Bearer pat:7:good-half-good-half"}}, 502},
			"token, another agent":  {http.Header{"Authorization": {"Bearer pat:9:good-half-good-half"}}, 401},
			"session, another CSRF": {session("x", "7"), 401}, "session": {session("csrf", "7"), 502}, "session, another agent": {session("csrf", "9"), 401},
			"session as token": {http.Header{"Authorization": {"Bearer pat:7:se/ss+ion"}}, 401},
		} {
			if got := send(tt.header); got != tt.want {
				t.Errorf("%s: %d, want %d", name, got, tt.want)
			}
		}
	}
	for what, n := range g.asked {
		if n != 1 {
			t.Errorf("GitLab was asked %d times: %s", n, what)
		}
	}
	if len(g.asked) != 9 {
		t.Errorf("GitLab was asked about %d callers, want 9", len(g.asked))
	}
}

func TestUserIdentity(t *testing.T) {
	t.Parallel()
	g := &fakeGitLab{asked: map[string]int{}}
	u, err := g.AuthorizeUser(t.Context(), gitlab.UserAccess{AgentID: 7, Type: gitlab.PersonalAccessToken, Key: "good"})
	if err != nil {
		t.Fatal(err)
	}
	want := &kubeapi.ImpersonationConfig{Username: "gitlab:user:jo",
		Groups: []string{"gitlab:user", "gitlab:project_role:5:developer", "gitlab:project_role:5:reporter", "gitlab:group_role:6:owner"},
		Extra: []*kubeapi.ExtraKeyVal{{Key: "agent.gitlab.com/id", Val: []string{"7"}}, {Key: "agent.gitlab.com/username", Val: []string{"jo"}},
			{Key: "agent.gitlab.com/access_type", Val: []string{"personal_access_token"}}, {Key: "agent.gitlab.com/config_project_id", Val: []string{"3"}}}}
	if diff := cmp.Diff(want, userIdentity(u, gitlab.PersonalAccessToken), protocmp.Transform()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	u.AccessAs = gitlab.UserAccessAs{Agent: &struct{}{}}
	if got := userIdentity(u, gitlab.SessionCookie); got != nil {
		t.Errorf("as the agent: %v", got)
	}
}

// FuzzCredentials: whatever is sent, an error names no part of it, and what is
// read is whole.
func FuzzCredentials(f *testing.F) {
	f.Add("ci:7:", "_gitlab_kas=x", "7", "csrf")
	f.Add("pat:x:", "_gitlab_kas=%41", "", "csrf")
	f.Add("", "_gitlab_kas=%zz", "7", "")
	f.Fuzz(func(t *testing.T, kind, cookie, agent, csrf string) {
		const secret = "glpat-SECRET"
		for _, authorization := range [][]string{nil, {"Bearer " + kind + secret}, {kind + secret}, {secret, secret}} {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header = http.Header{"Cookie": {cookie + secret}, agentHeader: {agent}, csrfHeader: {csrf}}
			if authorization != nil {
				r.Header["Authorization"] = authorization
			}
			c, err := credentialsOf(r)
			if err == nil && (c.key == "" || c.agentID <= 0 || c.access == accessSession && c.csrf == "") {
				t.Errorf("read as %+v", c)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the error repeats the token: %v", err)
			}
		}
	})
}
