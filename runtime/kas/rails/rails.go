// Package rails answers what GitLab's Rails application asks kas: which version
// it is and which agents are connected. It knows neither listeners nor who may
// ask. Its law: an agent is connected if a pod of it has registered lately, and
// nothing is said of an agent that was not asked about.
package rails

import (
	"cmp"
	"context"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kasgen/internal/kasrpc/agenttracker"
	"kasgen/internal/kasrpc/serverinfo"
	"kasgen/runtime/kas/agents"
)

// Connected is who knows the pods that have registered.
type Connected interface {
	Pods(now time.Time) []agents.Pod
}

// Service implements the services.
type Service struct {
	serverinfo.UnimplementedServerInfoServer
	agenttracker.UnimplementedAgentTrackerServer
	version   string
	connected Connected
}

// New answers with this version and these agents.
func New(version string, connected Connected) *Service {
	return &Service{version: version, connected: connected}
}

// RegisterOn adds the services to a gRPC server.
func (s *Service) RegisterOn(r grpc.ServiceRegistrar) {
	serverinfo.RegisterServerInfoServer(r, s)
	agenttracker.RegisterAgentTrackerServer(r, s)
}

// GetServerInfo implements ServerInfo.
func (s *Service) GetServerInfo(context.Context, *serverinfo.GetServerInfoRequest) (*serverinfo.GetServerInfoResponse, error) {
	return &serverinfo.GetServerInfoResponse{CurrentServerInfo: &serverinfo.ServerInfo{Version: s.version}}, nil
}

// GetConnectedAgents implements AgentTracker for GitLab until 16: the pods of
// one agent, or of all agents of the project that configures them.
func (s *Service) GetConnectedAgents(_ context.Context, req *agenttracker.GetConnectedAgentsRequest) (*agenttracker.GetConnectedAgentsResponse, error) {
	var asked func(agents.Pod) bool
	switch r := req.GetRequest().(type) {
	case *agenttracker.GetConnectedAgentsRequest_AgentId:
		asked = func(p agents.Pod) bool { return p.AgentID == r.AgentId }
	case *agenttracker.GetConnectedAgentsRequest_ProjectId:
		asked = func(p agents.Pod) bool { return p.ProjectID == r.ProjectId }
	default:
		return nil, status.Error(codes.InvalidArgument, "the request names neither project_id nor agent_id")
	}
	return &agenttracker.GetConnectedAgentsResponse{Agents: s.pods(asked)}, nil
}

// GetConnectedAgentsByAgentIDs implements AgentTracker.
func (s *Service) GetConnectedAgentsByAgentIDs(_ context.Context, req *agenttracker.GetConnectedAgentsByAgentIDsRequest) (*agenttracker.GetConnectedAgentsByAgentIDsResponse, error) {
	ids := make(map[int64]bool, len(req.GetAgentIds()))
	for _, id := range req.GetAgentIds() {
		ids[id] = true
	}
	return &agenttracker.GetConnectedAgentsByAgentIDsResponse{Agents: s.pods(func(p agents.Pod) bool { return ids[p.AgentID] })}, nil
}

// pods are those asked for, the agents and of each the oldest pod first.
func (s *Service) pods(asked func(agents.Pod) bool) []*agenttracker.ConnectedAgentInfo {
	var infos []*agenttracker.ConnectedAgentInfo
	for _, p := range s.connected.Pods(time.Now()) {
		if asked(p) {
			infos = append(infos, &agenttracker.ConnectedAgentInfo{AgentMeta: p.Meta, ConnectedAt: timestamppb.New(p.Since),
				ConnectionId: p.PodID, AgentId: p.AgentID, ProjectId: p.ProjectID})
		}
	}
	slices.SortFunc(infos, func(a, b *agenttracker.ConnectedAgentInfo) int {
		return cmp.Or(cmp.Compare(a.AgentId, b.AgentId), a.ConnectedAt.AsTime().Compare(b.ConnectedAt.AsTime()), cmp.Compare(a.ConnectionId, b.ConnectionId))
	})
	return infos
}
