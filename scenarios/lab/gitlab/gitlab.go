// Package gitlab is a stand-in for GitLab: the internal API that kas asks
// about agents, CI jobs and users, over HTTP on loopback, and what Rails asks
// kas. It knows neither kas's inside nor a cluster.
//
// Its law: it believes nobody. Every request of kas must carry a valid JWT,
// and a token that is not listed is refused as GitLab refuses it. Its answers
// say in the Server header what they come from.
package gitlab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// server is the Server header of every answer.
const server = "kasgen-lab-stand-in-for-GitLab"

// Options are what the stand-in knows.
type Options struct {
	// Secret is the key that signs kas's JWT: the bytes, not their base64.
	Secret []byte
	Agents []Agent
	Jobs   []Job
	Users  []User
	Log    *slog.Logger
}

// Agent is a registered agent.
type Agent struct {
	ID        int64
	ProjectID int64 // of its configuration
	Name      string
	Token     string
}

// Job is a running CI job.
type Job struct {
	Token         string // CI_JOB_TOKEN
	ID            int64
	PipelineID    int64
	ProjectID     int64
	UserID        int64
	Username      string
	Groups        []int64 // above the project
	Environment   *Environment
	AllowedAgents []AllowedAgent
}

// Environment is where a job deploys to.
type Environment struct {
	Slug string `json:"slug"`
	Tier string `json:"tier"`
}

// AllowedAgent is an agent that a job may use, and as whom.
type AllowedAgent struct {
	ID               int64
	ProjectID        int64
	DefaultNamespace string
	AccessAs         AccessAs
}

// AccessAs says as whom requests reach the cluster; nothing set is the agent.
type AccessAs struct {
	CIJob       bool
	Impersonate *Impersonate
}

// Impersonate is a fixed identity.
type Impersonate struct {
	Username string   `json:"username"`
	Groups   []string `json:"groups,omitempty"`
	UID      string   `json:"uid,omitempty"`
	Extra    []Extra  `json:"extra,omitempty"`
}

// Extra is an extra attribute of an identity.
type Extra struct {
	Key string   `json:"key"`
	Val []string `json:"val"`
}

// User is a person with a personal access token or a session, or both.
type User struct {
	ID       int64
	Username string
	Token    string // personal access token; empty: none
	Session  string // session cookie, and
	CSRF     string // the token that goes with it
	Agents   []UserAgent
}

// UserAgent is an agent that a user may use. With neither projects nor groups
// it is used as the agent, else as the user with these roles.
type UserAgent struct {
	ID       int64
	Projects []Roles
	Groups   []Roles
}

// Roles are a user's roles in a project or group.
type Roles struct {
	ID    int64    `json:"id"`
	Roles []string `json:"roles"`
}

// GitLab runs from Start to Close.
type GitLab struct {
	options  Options
	listener net.Listener
	http     *http.Server
	serve    sync.WaitGroup
	now      func() time.Time

	mu     sync.Mutex
	calls  map[Endpoint]int
	faults map[Endpoint]int
}

// Start listens on a free port of loopback. When ctx ends, so do requests.
func Start(ctx context.Context, o Options) (*GitLab, error) {
	if len(o.Secret) == 0 {
		return nil, errors.New("the stand-in GitLab needs the secret that kas signs with")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for the stand-in GitLab: %w", err)
	}
	g := &GitLab{options: o, listener: listener, now: time.Now, calls: map[Endpoint]int{}, faults: map[Endpoint]int{}}
	g.http = &http.Server{
		Handler: g.handler(), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	g.serve.Go(func() {
		if err := g.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			o.Log.Error("the stand-in GitLab has stopped", "error", err)
		}
	})
	return g, nil
}

// URL is its address, as gitlab.address of kas.
func (g *GitLab) URL() string { return "http://" + g.listener.Addr().String() }

// Close ends all requests and waits for the server.
func (g *GitLab) Close() error {
	err := g.http.Close()
	g.serve.Wait()
	return err
}
