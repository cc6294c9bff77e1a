package gitlab

import (
	"encoding/json"
	"net/http"
)

// authorizeRequest is what kas says of a person's request.
type authorizeRequest struct {
	AgentID    json.RawMessage `json:"agent_id"`
	AccessType string          `json:"access_type"`
	AccessKey  string          `json:"access_key"`
	CSRFToken  string          `json:"csrf_token"`
}

type accessUserJSON struct {
	Projects []Roles `json:"projects"`
	Groups   []Roles `json:"groups"`
}

type accessAsUserJSON struct {
	Agent *struct{}       `json:"agent,omitempty"`
	User  *accessUserJSON `json:"user,omitempty"`
}

type agentJSON struct {
	ID            int64  `json:"id"`
	ConfigProject idJSON `json:"config_project"`
}

type authorizedJSON struct {
	Agent    agentJSON        `json:"agent"`
	User     userJSON         `json:"user"`
	AccessAs accessAsUserJSON `json:"access_as"`
}

// authorizeProxyUser answers as whom a person may use an agent: 401 for a
// person it does not know, 404 for an agent it does not know, 403 for an
// agent that is not for that person.
func (g *GitLab) authorizeProxyUser(w http.ResponseWriter, r *http.Request) {
	var body authorizeRequest
	if !readJSON(w, r, &body) {
		return
	}
	id, err := number(body.AgentID)
	if err != nil || body.AccessType != "personal_access_token" && body.AccessType != "session_cookie" {
		refuse(w, http.StatusBadRequest)
		return
	}
	user, ok := g.user(body)
	if !ok {
		refuse(w, http.StatusUnauthorized)
		return
	}
	agent, ok := g.agent(id)
	if !ok {
		refuse(w, http.StatusNotFound)
		return
	}
	for _, allowed := range user.Agents {
		if allowed.ID == agent.ID {
			writeJSON(w, http.StatusOK, authorizedJSON{
				agentJSON{agent.ID, idJSON{agent.ProjectID}}, userJSON{user.ID, user.Username}, allowed.answer(),
			})
			return
		}
	}
	refuse(w, http.StatusForbidden)
}

func (g *GitLab) user(body authorizeRequest) (User, bool) {
	for _, u := range g.options.Users {
		switch {
		case body.AccessKey == "":
		case body.AccessType == "personal_access_token" && same(u.Token, body.AccessKey):
			return u, true
		case body.AccessType == "session_cookie" && same(u.Session, body.AccessKey) && same(u.CSRF, body.CSRFToken):
			return u, true
		}
	}
	return User{}, false
}

func (a UserAgent) answer() accessAsUserJSON {
	if len(a.Projects) == 0 && len(a.Groups) == 0 {
		return accessAsUserJSON{Agent: &struct{}{}}
	}
	return accessAsUserJSON{User: &accessUserJSON{
		Projects: append([]Roles{}, a.Projects...), Groups: append([]Roles{}, a.Groups...),
	}}
}
