package lab

import (
	"log/slog"

	"kasgen/scenarios/lab/gitlab"
)

// gitlabOptions is a GitLab with the lab's agents and one CI job that may use
// them, as the agents themselves: what a cluster's RBAC makes of a job's own
// identity is not what the lab is about.
func (l *Lab) gitlabOptions(secret []byte, log *slog.Logger) gitlab.Options {
	o := gitlab.Options{Secret: secret, Log: log}
	job := gitlab.Job{Token: l.job, ID: 101, PipelineID: 102, ProjectID: 1, UserID: 103, Username: "demo"}
	for _, a := range l.Agents {
		o.Agents = append(o.Agents, gitlab.Agent{ID: a.ID, ProjectID: 1, Name: a.Name, Token: a.token})
		job.AllowedAgents = append(job.AllowedAgents, gitlab.AllowedAgent{ID: a.ID, ProjectID: 1, DefaultNamespace: "default"})
	}
	o.Jobs = []gitlab.Job{job}
	return o
}
