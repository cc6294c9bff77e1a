package proxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"kasgen/runtime/cache"
	"kasgen/runtime/gitlab"
)

// authorized is what GitLab allows a caller: an agent, and as whom.
type authorized struct {
	agent int64
	as    *impersonation // nil: the agent itself
}

// authorize says what the caller may do. Where it may do nothing it answers.
func (p *Proxy) authorize(w http.ResponseWriter, r *http.Request, path string, c credentials) (authorized, bool) {
	switch c.access {
	case accessJob:
		return p.job(w, r, c)
	case accessToken, accessSession:
		return p.user(w, r, c)
	case accessSigned:
		return p.signed(w, r, path, c)
	default:
		p.unauthorized(w, r, errNoCredentials.Error())
		return authorized{}, false
	}
}

// unauthorized answers 401, and says that it is kas's own and not the cluster's.
func (p *Proxy) unauthorized(w http.ResponseWriter, r *http.Request, why string) {
	w.Header().Set("Gitlab-Unauthorized", "true")
	p.fail(w, r, http.StatusUnauthorized, "Unauthorized: "+why, nil)
}

// job asks GitLab whether a CI job may use the agent, and as whom.
func (p *Proxy) job(w http.ResponseWriter, r *http.Request, c credentials) (authorized, bool) {
	answer, err := p.jobs.Get(r.Context(), cache.KeyOf(c.key), func(ctx context.Context) (*gitlab.AllowedAgents, error) {
		return p.GitLab.AllowedAgents(ctx, c.key)
	})
	switch {
	case err == nil:
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler) // the client has gone; GitLab is not to blame
	case errors.Is(err, gitlab.ErrUnauthorized):
		p.unauthorized(w, r, "GitLab does not accept this CI job token; is the job still running?")
	case errors.Is(err, gitlab.ErrForbidden):
		p.fail(w, r, http.StatusForbidden, "Forbidden: GitLab forbids this CI job token", nil)
	case errors.Is(err, gitlab.ErrNotFound):
		p.fail(w, r, http.StatusNotFound, "Not found: GitLab knows no agents for this CI job token", nil)
	default:
		p.fail(w, r, http.StatusInternalServerError, "GitLab could not be asked which agents this CI job may use", err)
	}
	if err != nil {
		return authorized{}, false
	}
	for i := range answer.Agents {
		if a := &answer.Agents[i]; a.ID == c.agentID {
			return authorized{a.ID, impersonationOf(answer, a)}, true
		}
	}
	p.fail(w, r, http.StatusForbidden, "Forbidden: this CI job may not use this agent; add the job's project under ci_access in the agent's configuration", nil)
	return authorized{}, false
}

// user asks GitLab whether a person may use the agent, and as whom.
func (p *Proxy) user(w http.ResponseWriter, r *http.Request, c credentials) (authorized, bool) {
	q := gitlab.UserAccess{AgentID: c.agentID, Type: gitlab.PersonalAccessToken, Key: c.key}
	if c.access == accessSession {
		q.Type, q.CSRF = gitlab.SessionCookie, c.csrf
	}
	answer, err := p.users.Get(r.Context(), userKey(q), func(ctx context.Context) (*gitlab.AuthorizedUser, error) {
		return p.GitLab.AuthorizeUser(ctx, q)
	})
	switch {
	case err == nil:
		return authorized{answer.Agent.ID, userIdentity(answer, q.Type)}, true
	case r.Context().Err() != nil:
		panic(http.ErrAbortHandler)
	case gitlab.Denied(err):
		// One answer for all three: who may not use an agent need not learn
		// whether there is one.
		why := "GitLab does not accept " + string(c.access) + " for this agent; is it known, unexpired and allowed by user_access in the agent's configuration?"
		if c.cookies > 1 {
			why += " The request has several cookies " + sessionCookie + ", of which the first counts: another GitLab on a parent domain may have set one; delete it"
		}
		p.unauthorized(w, r, why)
	default:
		p.fail(w, r, http.StatusInternalServerError, "GitLab could not be asked whether "+string(c.access)+" may use this agent", err)
	}
	return authorized{}, false
}

// userKey is of everything that the answer depends on.
func userKey(q gitlab.UserAccess) cache.Key {
	return cache.KeyOf(itoa(q.AgentID), string(q.Type), q.Key, q.CSRF)
}

// signed reads what this kas has signed a moment ago.
func (p *Proxy) signed(w http.ResponseWriter, r *http.Request, path string, c credentials) (authorized, bool) {
	if p.signer.key == nil {
		p.unauthorized(w, r, "WebSocket tokens are not known here: agent.kubernetes_api.websocket_token_secret_file is not set")
		return authorized{}, false
	}
	a, err := p.signer.read(c.key, path, time.Now())
	if err != nil {
		p.unauthorized(w, r, err.Error())
		return authorized{}, false
	}
	return a, true
}
