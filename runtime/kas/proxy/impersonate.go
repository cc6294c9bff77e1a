package proxy

import (
	"net/http"
	"strconv"
	"strings"

	"kasgen/internal/kasrpc/kubeapi"
	"kasgen/runtime/gitlab"
)

// impersonation is as whom a request reaches the cluster; nil is the agent.
type impersonation = kubeapi.ImpersonationConfig

// impersonationOf is what the agent's configuration says of a job.
func impersonationOf(a *gitlab.AllowedAgents, agent *gitlab.AllowedAgent) *impersonation {
	as := agent.Configuration.AccessAs
	switch {
	case as == nil || as.Agent != nil:
		return nil
	case as.Impersonate != nil:
		i := as.Impersonate
		c := &impersonation{Username: i.Username, Groups: i.Groups, Uid: i.UID}
		for _, e := range i.Extra {
			c.Extra = append(c.Extra, &kubeapi.ExtraKeyVal{Key: e.Key, Val: e.Val})
		}
		return c
	case as.CIJob != nil:
		return jobIdentity(a, agent)
	default:
		return nil
	}
}

// jobIdentity is the user that stands for a CI job. Names and order are those
// of GitLab's kas, because RBAC rules in clusters name them.
func jobIdentity(a *gitlab.AllowedAgents, agent *gitlab.AllowedAgent) *impersonation {
	c := &impersonation{
		Username: "gitlab:ci_job:" + itoa(a.Job.ID),
		Groups:   []string{"gitlab:ci_job"},
	}
	for _, g := range a.Project.Groups {
		c.Groups = append(c.Groups, "gitlab:group:"+itoa(g.ID))
		if a.Environment != nil {
			c.Groups = append(c.Groups, "gitlab:group_env_tier:"+itoa(g.ID)+":"+a.Environment.Tier)
		}
	}
	project := itoa(a.Project.ID)
	c.Groups = append(c.Groups, "gitlab:project:"+project)
	extra := func(key, value string) { addExtra(c, key, value) }
	extra("id", itoa(agent.ID))
	extra("config_project_id", itoa(agent.ConfigProject.ID))
	extra("project_id", project)
	extra("ci_pipeline_id", itoa(a.Pipeline.ID))
	extra("ci_job_id", itoa(a.Job.ID))
	extra("username", a.User.Username)
	if e := a.Environment; e != nil {
		c.Groups = append(c.Groups, "gitlab:project_env:"+project+":"+e.Slug, "gitlab:project_env_tier:"+project+":"+e.Tier)
		extra("environment_slug", e.Slug)
		extra("environment_tier", e.Tier)
	}
	return c
}

// userIdentity is the user that stands for a person, nil for the agent itself.
func userIdentity(a *gitlab.AuthorizedUser, by gitlab.AccessType) *impersonation {
	if a.AccessAs.User == nil {
		return nil
	}
	c := &impersonation{Username: "gitlab:user:" + a.User.Username, Groups: []string{"gitlab:user"}}
	roles := func(of string, all []gitlab.Roles) {
		for _, r := range all {
			for _, role := range r.Roles {
				c.Groups = append(c.Groups, "gitlab:"+of+"_role:"+itoa(r.ID)+":"+role)
			}
		}
	}
	roles("project", a.AccessAs.User.Projects)
	roles("group", a.AccessAs.User.Groups)
	addExtra(c, "id", itoa(a.Agent.ID))
	addExtra(c, "username", a.User.Username)
	addExtra(c, "access_type", string(by))
	addExtra(c, "config_project_id", itoa(a.Agent.ConfigProject.ID))
	return c
}

func addExtra(c *impersonation, key, value string) {
	c.Extra = append(c.Extra, &kubeapi.ExtraKeyVal{Key: "agent.gitlab.com/" + key, Val: []string{value}})
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// impersonates says whether the client itself asks to be somebody else.
func impersonates(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(name, "Impersonate-") {
			return true
		}
	}
	return false
}
