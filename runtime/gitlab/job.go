package gitlab

import (
	"context"
	"net/http"
	"time"
)

// AllowedAgents is what a CI job may use and as whom.
type AllowedAgents struct {
	Agents      []AllowedAgent `json:"allowed_agents"`
	Job         ID             `json:"job"`
	Pipeline    ID             `json:"pipeline"`
	Project     Project        `json:"project"`
	User        User           `json:"user"`
	Environment *Environment   `json:"environment"`
}

// ID is an object of which only the number matters.
type ID struct {
	ID int64 `json:"id"`
}

// Project is a job's project with the groups above it.
type Project struct {
	ID     int64 `json:"id"`
	Groups []ID  `json:"groups"`
}

// User is who runs a job.
type User struct {
	ID       int64  `json:"id"`
	Username string `json:"username"`
}

// Environment is where a job deploys to, if it does.
type Environment struct {
	Slug string `json:"slug"`
	Tier string `json:"tier"`
}

// AllowedAgent is one agent that a job may use.
type AllowedAgent struct {
	ID            int64              `json:"id"`
	ConfigProject ID                 `json:"config_project"`
	Configuration AgentConfiguration `json:"configuration"`
}

// AgentConfiguration is what the agent's own configuration says of access.
type AgentConfiguration struct {
	DefaultNamespace string    `json:"default_namespace"`
	AccessAs         *AccessAs `json:"access_as"`
}

// AccessAs says as whom requests reach the cluster. Nothing set is the agent
// itself.
type AccessAs struct {
	Agent       *struct{}    `json:"agent"`
	Impersonate *Impersonate `json:"impersonate"`
	CIJob       *struct{}    `json:"ci_job"`
}

// Impersonate is a fixed identity.
type Impersonate struct {
	Username string   `json:"username"`
	Groups   []string `json:"groups"`
	UID      string   `json:"uid"`
	Extra    []Extra  `json:"extra"`
}

// Extra is one extra attribute of an identity.
type Extra struct {
	Key string   `json:"key"`
	Val []string `json:"val"`
}

// retries and firstWait bound how long a passing fault of GitLab is waited
// for: 0.1 + 0.2 + 0.4 + 0.8 s.
const (
	retries   = 4
	firstWait = 100 * time.Millisecond
)

// AllowedAgents asks which agents the job of a CI_JOB_TOKEN may use. Errors
// are those of AgentInfo. A connection that fails and a 5xx are tried again,
// because a job's kubectl does not.
func (c *Client) AllowedAgents(ctx context.Context, jobToken string) (*AllowedAgents, error) {
	wait := firstWait
	for try := 0; ; try++ {
		var a AllowedAgents
		err := c.ask(ctx, question{method: http.MethodGet, path: "/api/v4/job/allowed_agents", headers: http.Header{"Job-Token": {jobToken}}}, &a)
		switch {
		case err == nil:
			return &a, nil
		case try == retries || !passing(err) || ctx.Err() != nil:
			return nil, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-timer.C:
		}
		wait *= 2
	}
}
