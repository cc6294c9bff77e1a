package gitlab

import "net/http"

type idJSON struct {
	ID int64 `json:"id"`
}

type userJSON struct {
	ID       int64  `json:"id"`
	Username string `json:"username"`
}

type accessAsJSON struct {
	Agent       *struct{}    `json:"agent,omitempty"`
	Impersonate *Impersonate `json:"impersonate,omitempty"`
	CIJob       *struct{}    `json:"ci_job,omitempty"`
}

type configurationJSON struct {
	DefaultNamespace string       `json:"default_namespace,omitempty"`
	AccessAs         accessAsJSON `json:"access_as"`
}

type allowedAgentJSON struct {
	ID            int64             `json:"id"`
	ConfigProject idJSON            `json:"config_project"`
	Configuration configurationJSON `json:"configuration"`
}

type projectJSON struct {
	ID     int64    `json:"id"`
	Groups []idJSON `json:"groups"`
}

type allowedAgentsJSON struct {
	AllowedAgents []allowedAgentJSON `json:"allowed_agents"`
	Job           idJSON             `json:"job"`
	Pipeline      idJSON             `json:"pipeline"`
	Project       projectJSON        `json:"project"`
	User          userJSON           `json:"user"`
	Environment   *Environment       `json:"environment,omitempty"`
}

// allowedAgents answers which agents a job may use. The job's token is all
// the authentication there is.
func (g *GitLab) allowedAgents(w http.ResponseWriter, r *http.Request) {
	token := r.Header.Get("Job-Token")
	for _, j := range g.options.Jobs {
		if token != "" && same(j.Token, token) {
			writeJSON(w, http.StatusOK, j.answer())
			return
		}
	}
	refuse(w, http.StatusUnauthorized)
}

func (j Job) answer() allowedAgentsJSON {
	a := allowedAgentsJSON{
		AllowedAgents: []allowedAgentJSON{},
		Job:           idJSON{j.ID}, Pipeline: idJSON{j.PipelineID},
		Project:     projectJSON{ID: j.ProjectID, Groups: []idJSON{}},
		User:        userJSON{j.UserID, j.Username},
		Environment: j.Environment,
	}
	for _, id := range j.Groups {
		a.Project.Groups = append(a.Project.Groups, idJSON{id})
	}
	for _, agent := range j.AllowedAgents {
		a.AllowedAgents = append(a.AllowedAgents, allowedAgentJSON{
			agent.ID, idJSON{agent.ProjectID}, configurationJSON{agent.DefaultNamespace, agent.AccessAs.answer()},
		})
	}
	return a
}

func (a AccessAs) answer() accessAsJSON {
	switch {
	case a.CIJob:
		return accessAsJSON{CIJob: &struct{}{}}
	case a.Impersonate != nil:
		return accessAsJSON{Impersonate: a.Impersonate}
	default:
		return accessAsJSON{Agent: &struct{}{}}
	}
}
