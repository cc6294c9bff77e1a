package gitlab

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// agentToken finds the agent's token in whichever header a kas of some age
// sends it. Newer names win.
func agentToken(h http.Header) string {
	for _, name := range []string{"Gitlab-Agent-Api-Request", "Gitlab-Agentk-Api-Request"} {
		if token := h.Get(name); token != "" {
			return token
		}
	}
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "bearer") {
		return token
	}
	return ""
}

type gitalyInfo struct {
	Address  string            `json:"address"`
	Token    string            `json:"token"`
	Features map[string]string `json:"features"`
}

type gitalyRepository struct {
	StorageName   string `json:"storage_name"`
	RelativePath  string `json:"relative_path"`
	GLRepository  string `json:"gl_repository"`
	GLProjectPath string `json:"gl_project_path"`
}

// agentInfo answers whose token it is. kas reads agents' configuration from
// Gitaly, of which there is none here; it insists on an address all the same.
func (g *GitLab) agentInfo(w http.ResponseWriter, r *http.Request) {
	token := agentToken(r.Header)
	for _, a := range g.options.Agents {
		if token == "" || !same(a.Token, token) {
			continue
		}
		path := fmt.Sprintf("lab/project-%d", a.ProjectID)
		writeJSON(w, http.StatusOK, struct {
			ProjectID        int64            `json:"project_id"`
			AgentID          int64            `json:"agent_id"`
			AgentName        string           `json:"agent_name"`
			GitalyInfo       gitalyInfo       `json:"gitaly_info"`
			GitalyRepository gitalyRepository `json:"gitaly_repository"`
			DefaultBranch    string           `json:"default_branch"`
		}{
			a.ProjectID, a.ID, a.Name,
			// A port on which nothing listens, on any machine.
			gitalyInfo{Address: "tcp://127.0.0.1:1", Features: map[string]string{}},
			gitalyRepository{StorageName: "default", RelativePath: path + ".git", GLRepository: fmt.Sprintf("project-%d", a.ProjectID), GLProjectPath: path},
			"main",
		})
		return
	}
	refuse(w, http.StatusUnauthorized)
}

// agentConfiguration takes what kas has read of an agent's configuration.
func (g *GitLab) agentConfiguration(w http.ResponseWriter, r *http.Request) {
	var body struct {
		AgentID json.RawMessage `json:"agent_id"`
	}
	if !readJSON(w, r, &body) {
		return
	}
	id, err := number(body.AgentID)
	if err != nil {
		refuse(w, http.StatusBadRequest)
		return
	}
	if _, ok := g.agent(id); !ok {
		refuse(w, http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (g *GitLab) agent(id int64) (Agent, bool) {
	for _, a := range g.options.Agents {
		if a.ID == id {
			return a, true
		}
	}
	return Agent{}, false
}

// accept takes any JSON object and keeps nothing of it.
func (g *GitLab) accept(w http.ResponseWriter, r *http.Request) {
	var body map[string]json.RawMessage
	if readJSON(w, r, &body) {
		w.WriteHeader(http.StatusNoContent)
	}
}

// number reads a 64-bit integer from JSON: protobuf's JSON writes it as a
// string, everybody else as a number.
func number(raw json.RawMessage) (int64, error) {
	var n json.Number
	if err := json.Unmarshal(raw, &n); err != nil {
		return 0, err
	}
	return n.Int64()
}
