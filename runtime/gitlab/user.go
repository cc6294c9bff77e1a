package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// AccessType is how a person is known.
type AccessType string

// The access types, as GitLab calls them.
const (
	SessionCookie       AccessType = "session_cookie"
	PersonalAccessToken AccessType = "personal_access_token"
)

// UserAccess is a person's request to use an agent.
type UserAccess struct {
	AgentID int64      `json:"agent_id,string"` // as protobuf's JSON has it; Rails reads both forms
	Type    AccessType `json:"access_type"`
	Key     string     `json:"access_key"`           // the token, or the session's public id
	CSRF    string     `json:"csrf_token,omitempty"` // of a session: GitLab holds it to the session
}

// AuthorizedUser is who a person is and as whom requests may be made.
type AuthorizedUser struct {
	Agent struct {
		ID            int64 `json:"id"`
		ConfigProject ID    `json:"config_project"`
	} `json:"agent"`
	User     User         `json:"user"`
	AccessAs UserAccessAs `json:"access_as"`
}

// UserAccessAs says as whom a person's requests reach the cluster: as the agent
// or as the person. GitLab sets one of the two.
type UserAccessAs struct {
	Agent *struct{}  `json:"agent"`
	User  *UserRoles `json:"user"`
}

// UserRoles are a person's roles in projects and groups.
type UserRoles struct {
	Projects []Roles `json:"projects"`
	Groups   []Roles `json:"groups"`
}

// Roles are those in one project or group.
type Roles struct {
	ID    int64    `json:"id"`
	Roles []string `json:"roles"`
}

// AuthorizeUser asks whether a person may use an agent. Errors are those of
// AgentInfo. There are no retries: the question holds a session's secret.
func (c *Client) AuthorizeUser(ctx context.Context, a UserAccess) (*AuthorizedUser, error) {
	var u AuthorizedUser
	q := question{method: http.MethodPost, path: "/api/v4/internal/kubernetes/authorize_proxy_user", body: a, signed: true}
	if err := c.ask(ctx, q, &u); err != nil {
		return nil, err
	}
	if u.Agent.ID != a.AgentID {
		return nil, fmt.Errorf("GitLab's answer to %s is about another agent", q.path)
	}
	if u.User.ID <= 0 || u.User.Username == "" {
		return nil, errors.New("GitLab's answer to authorize_proxy_user names no user")
	}
	if (u.AccessAs.Agent == nil) == (u.AccessAs.User == nil) {
		// Neither would be the agent itself, which may be allowed everything.
		return nil, errors.New("GitLab's answer to authorize_proxy_user does not say as whom")
	}
	return &u, nil
}
