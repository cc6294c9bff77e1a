// Package agents serves what agents call on kas: their configuration, their
// registration and the reverse tunnel. It knows neither listeners nor HTTP.
// Its law: an agent is known by its token alone, and GitLab says whose it is.
package agents

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"kasgen/internal/kasrpc/agent"
	"kasgen/internal/kasrpc/tunnel"
	"kasgen/runtime/cache"
	"kasgen/runtime/gitlab"
	"kasgen/runtime/kas/tunnels"
	"kasgen/runtime/kas/wire"
)

// GitLab is who says whose token it is.
type GitLab interface {
	AgentInfo(ctx context.Context, token string) (gitlab.AgentInfo, error)
}

// Options are what the service needs.
type Options struct {
	Log              *slog.Logger
	GitLab           GitLab
	Tunnels          *tunnels.Registry
	ExternalURL      string        // GitLab's, sent to agents
	MaxConnectionAge time.Duration // M; a long call ends itself at 0.3 M
	InfoTTL          time.Duration
	InfoErrorTTL     time.Duration
	PerTokenMinute   uint32 // calls a token may make in a minute
	Connected        *Connected
}

// Service implements the three services.
type Service struct {
	agent.UnimplementedAgentConfigurationServer
	agent.UnimplementedAgentRegistrarServer
	tunnel.UnimplementedReverseTunnelServer
	Options
	infos *cache.Cache[gitlab.AgentInfo]
	limit limiter
	stop  chan struct{} // closed by Retire
	once  sync.Once

	drained   chan struct{} // closed by Drain
	drainOnce sync.Once
}

// New is a service that has not asked GitLab anything yet.
func New(o Options) *Service {
	return &Service{Options: o, limit: limiter{perMinute: o.PerTokenMinute}, stop: make(chan struct{}), drained: make(chan struct{}),
		infos: cache.New[gitlab.AgentInfo](o.InfoTTL, o.InfoErrorTTL, gitlab.Denied)}
}

// RegisterOn adds the services to a gRPC server.
func (s *Service) RegisterOn(r grpc.ServiceRegistrar) {
	agent.RegisterAgentConfigurationServer(r, s)
	agent.RegisterAgentRegistrarServer(r, s)
	tunnel.RegisterReverseTunnelServer(r, s)
}

// Drain ends calls that only wait, so that a graceful stop can finish, and
// takes no more tunnels.
func (s *Service) Drain() {
	s.Retire()
	s.drainOnce.Do(func() { close(s.drained) })
	s.Tunnels.Drain()
}

// Retire ends calls that only wait: agents make them again, on a connection to
// the service that follows. A call that comes all the same lives for a moment.
func (s *Service) Retire() { s.once.Do(func() { close(s.stop) }) }

// GetConfiguration sends an agent what it needs to know of itself and stays
// open, as agents expect. Configuration files in repositories are not read.
func (s *Service) GetConfiguration(req *agent.ConfigurationRequest, stream grpc.ServerStreamingServer[agent.ConfigurationResponse]) error {
	if err := apart(func() error { return s.configure(req, stream) }); err != nil {
		return err
	}
	idle, stop := s.wait(stream.Context())
	timer := time.NewTimer(idle)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-stop:
	case <-stream.Context().Done():
		return stream.Context().Err()
	}
	return nil
}

// configure sends an agent its configuration, unless it has it.
func (s *Service) configure(req *agent.ConfigurationRequest, stream grpc.ServerStreamingServer[agent.ConfigurationResponse]) error {
	info, err := s.who(stream.Context())
	if err != nil {
		return err
	}
	// The configuration changes with the agent's identity only, so the
	// identity stands for the commit.
	commit := "agent-" + strconv.FormatInt(info.AgentID, 10)
	if req.GetCommitId() == commit {
		return nil
	}
	return stream.Send(&agent.ConfigurationResponse{CommitId: commit, Configuration: &agent.AgentConfiguration{
		AgentId: info.AgentID, ProjectId: info.ProjectID, GitlabExternalUrl: s.ExternalURL}})
}

// Connect is one reverse tunnel.
func (s *Service) Connect(stream grpc.BidiStreamingServer[tunnel.ConnectRequest, tunnel.ConnectResponse]) error {
	var agentID int64
	var descriptor *tunnel.AgentDescriptor
	if err := apart(func() (err error) {
		agentID, descriptor, err = s.begin(stream)
		return err
	}); err != nil {
		return err
	}
	idle, stop := s.wait(stream.Context())
	return s.Tunnels.Connect(stream, agentID, descriptor, idle, stop)
}

// begin reads a tunnel's descriptor and learns whose it is.
func (s *Service) begin(stream grpc.ServerStream) (int64, *tunnel.AgentDescriptor, error) {
	var first wire.Frame
	if err := stream.RecvMsg(&first); err != nil {
		return 0, nil, err
	}
	descriptor := first.Connect.GetDescriptor_()
	first.Free()
	if descriptor == nil {
		return 0, nil, status.Error(codes.InvalidArgument, "the first message of a tunnel must be its descriptor")
	}
	info, err := s.who(stream.Context())
	return info.AgentID, descriptor.GetAgentDescriptor(), err
}

// who asks GitLab whose token the call bears, within the token's rate.
func (s *Service) who(ctx context.Context) (gitlab.AgentInfo, error) {
	token, err := bearer(ctx)
	if err != nil {
		return gitlab.AgentInfo{}, err
	}
	key := cache.KeyOf(token)
	if !s.limit.allow(key, time.Now()) {
		return gitlab.AgentInfo{}, status.Error(codes.ResourceExhausted, "this agent token has made too many calls in this minute, try again later")
	}
	info, err := s.infos.Get(ctx, key, func(ctx context.Context) (gitlab.AgentInfo, error) {
		return s.GitLab.AgentInfo(ctx, token)
	})
	switch {
	case err == nil:
		return info, nil
	case errors.Is(err, gitlab.ErrUnauthorized):
		return info, status.Error(codes.Unauthenticated, "GitLab does not know this agent token")
	case errors.Is(err, gitlab.ErrForbidden):
		return info, status.Error(codes.PermissionDenied, "GitLab forbids this agent")
	case errors.Is(err, gitlab.ErrNotFound):
		return info, status.Error(codes.NotFound, "GitLab finds no agent for this token")
	case ctx.Err() != nil:
		return info, status.FromContextError(ctx.Err()).Err()
	default:
		s.Log.WarnContext(ctx, "asking GitLab about an agent", "error", err)
		return info, status.Error(codes.Unavailable, "GitLab could not be asked about this agent")
	}
}

func bearer(ctx context.Context) (string, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	values := md.Get("authorization")
	if len(values) != 1 {
		return "", status.Error(codes.Unauthenticated, "the call needs one authorization header with the agent token")
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "bearer") || token == "" {
		return "", status.Error(codes.Unauthenticated, "the authorization header is not of the form Bearer TOKEN")
	}
	return token, nil
}

// wait is how long a call may wait from now, and what ends it before. A call
// that comes after Retire gets a moment, as if its connection were too old:
// ended at once, it would be made again at once until the agent has understood
// that it has to connect anew.
func (s *Service) wait(ctx context.Context) (time.Duration, <-chan struct{}) {
	select {
	case <-s.drained:
		return drainIdle, nil
	default:
	}
	select {
	case <-s.stop:
		return leastIdle, s.drained
	default:
		return s.maxIdle(ctx), s.stop
	}
}

// drainIdle is that moment when kas ends: no longer than it takes to tell
// every agent so.
const drainIdle = time.Second

// leastIdle is what a tunnel gets on a connection that is past its age: less,
// and agent and kas would open and end tunnels in a circle.
const leastIdle = 10 * time.Second

// maxIdle is how long a call may wait from now: 0.3 M after its connection
// came, before gRPC's own 0.2 M + 0.65 M would cut it.
func (s *Service) maxIdle(ctx context.Context) time.Duration {
	limit := s.MaxConnectionAge * 3 / 10
	if p, ok := peer.FromContext(ctx); ok {
		if c, ok := p.AuthInfo.(ConnInfo); ok {
			limit -= time.Since(c.Since)
		}
	}
	return max(limit, leastIdle)
}

// Uncompressed answers plain to calls that came with gzip. Agents compress
// always; compressing what goes to them would cost more than all the rest.
func Uncompressed(ctx context.Context) error {
	return grpc.SetSendCompressor(ctx, encoding.Identity)
}
