package gitlab

import (
	"context"
	"fmt"
	"net/http"
)

// AgentInfo is what GitLab says of the agent that a token belongs to.
type AgentInfo struct {
	ProjectID int64  `json:"project_id"`
	AgentID   int64  `json:"agent_id"`
	AgentName string `json:"agent_name"`
}

// AgentInfo asks whose token this is. Errors: ErrUnauthorized, ErrForbidden,
// ErrNotFound, or a failure to ask. There are no retries: the agent retries.
func (c *Client) AgentInfo(ctx context.Context, token string) (AgentInfo, error) {
	// Three names for one header: GitLab renamed it in 17.2 and again in 18,
	// and each release reads only some of them. Authorization is for 17.1 and
	// before.
	headers := http.Header{
		"Gitlab-Agent-Api-Request":  {token},
		"Gitlab-Agentk-Api-Request": {token},
		"Authorization":             {"Bearer " + token},
	}
	var info AgentInfo
	q := question{method: http.MethodGet, path: "/api/v4/internal/kubernetes/agent_info", headers: headers, signed: true}
	if err := c.ask(ctx, q, &info); err != nil {
		return AgentInfo{}, err
	}
	if info.AgentID <= 0 || info.ProjectID <= 0 {
		return AgentInfo{}, fmt.Errorf("GitLab's answer to agent_info names no agent")
	}
	return info, nil
}
