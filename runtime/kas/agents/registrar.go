package agents

import (
	"context"
	"sync"
	"time"

	"kasgen/internal/kasrpc/agent"
	"kasgen/runtime/gitlab"
)

// Register implements AgentRegistrar: agents call it every five minutes.
func (s *Service) Register(ctx context.Context, req *agent.RegisterRequest) (*agent.RegisterResponse, error) {
	info, err := s.who(ctx)
	if err != nil {
		return nil, err
	}
	s.Connected.add(info, req.GetAgentMeta(), req.GetPodId(), time.Now())
	return &agent.RegisterResponse{}, nil
}

// Unregister implements AgentRegistrar: newer agents call it when they stop.
func (s *Service) Unregister(ctx context.Context, req *agent.UnregisterRequest) (*agent.UnregisterResponse, error) {
	info, err := s.who(ctx)
	if err != nil {
		return nil, err
	}
	s.Connected.remove(info.AgentID, req.GetPodId())
	return &agent.UnregisterResponse{}, nil
}

// podTTL is how long a registration counts: agents repeat theirs every five
// minutes, and one late repetition is no reason to forget a pod.
const podTTL = 11 * time.Minute

// Connected is which agents' pods have registered lately.
type Connected struct {
	mu   sync.Mutex
	pods map[podKey]Pod
}

type podKey struct{ agent, pod int64 }

// Pod is one process of an agent.
type Pod struct {
	AgentID, ProjectID, PodID int64
	Meta                      *agent.AgentMeta
	Since, Seen               time.Time
}

// NewConnected knows no agent yet.
func NewConnected() *Connected { return &Connected{pods: map[podKey]Pod{}} }

func (c *Connected) add(info gitlab.AgentInfo, meta *agent.AgentMeta, pod int64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, p := range c.pods {
		if now.Sub(p.Seen) > podTTL {
			delete(c.pods, k)
		}
	}
	key := podKey{info.AgentID, pod}
	p, known := c.pods[key]
	if !known {
		p = Pod{AgentID: info.AgentID, ProjectID: info.ProjectID, PodID: pod, Since: now}
	}
	p.Meta, p.Seen = meta, now
	c.pods[key] = p
}

func (c *Connected) remove(agentID, pod int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pods, podKey{agentID, pod})
}

// Pods are the registered pods, in no order.
func (c *Connected) Pods(now time.Time) []Pod {
	c.mu.Lock()
	defer c.mu.Unlock()
	var pods []Pod
	for _, p := range c.pods {
		if now.Sub(p.Seen) <= podTTL {
			pods = append(pods, p)
		}
	}
	return pods
}
