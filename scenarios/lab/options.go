package lab

import (
	"kasgen/scenarios/lab/gitlab"
)

// What GitLab says of the lab's job; its identity in a cluster is made of it.
const (
	JobID     = 101
	ProjectID = 1
)

// gitlabOptions is a GitLab with the lab's agents and one CI job that may use
// them: as the agents themselves, unless a test is about what the cluster's
// RBAC makes of a job's own identity.
func (l *Lab) gitlabOptions(secret []byte, lo Options) gitlab.Options {
	o := gitlab.Options{Secret: secret, Log: lo.Log}
	job := gitlab.Job{Token: l.job, ID: JobID, PipelineID: 102, ProjectID: ProjectID, UserID: 103, Username: "demo"}
	for _, a := range l.Agents {
		o.Agents = append(o.Agents, gitlab.Agent{ID: a.ID, ProjectID: ProjectID, Name: a.Name, Token: a.token})
		job.AllowedAgents = append(job.AllowedAgents, gitlab.AllowedAgent{ID: a.ID, ProjectID: ProjectID, DefaultNamespace: "default",
			AccessAs: gitlab.AccessAs{CIJob: lo.CIJob}})
	}
	o.Jobs = []gitlab.Job{job}
	return o
}
