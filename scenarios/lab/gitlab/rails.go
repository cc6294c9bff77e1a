package gitlab

import (
	"context"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"kasgen/internal/kasrpc/agenttracker"
	"kasgen/internal/kasrpc/serverinfo"
)

// askLimit is Rails' own for a call to kas.
const askLimit = 5 * time.Second

// Version asks kas which one it is, as Rails does. conn leads to kas's listener
// for Rails.
func (g *GitLab) Version(ctx context.Context, conn grpc.ClientConnInterface) (string, error) {
	ctx, cancel, err := g.call(ctx)
	if err != nil {
		return "", err
	}
	defer cancel()
	info, err := serverinfo.NewServerInfoClient(conn).GetServerInfo(ctx, &serverinfo.GetServerInfoRequest{})
	return info.GetCurrentServerInfo().GetVersion(), err
}

// ConnectedAgents asks kas for the pods of agents that are connected, as Rails
// does for its page of agents.
func (g *GitLab) ConnectedAgents(ctx context.Context, conn grpc.ClientConnInterface, ids ...int64) ([]*agenttracker.ConnectedAgentInfo, error) {
	ctx, cancel, err := g.call(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	got, err := agenttracker.NewAgentTrackerClient(conn).GetConnectedAgentsByAgentIDs(ctx, &agenttracker.GetConnectedAgentsByAgentIDsRequest{AgentIds: ids})
	return got.GetAgents(), err
}

// call is a context for one call to kas, with the JWT by which kas knows GitLab.
func (g *GitLab) call(ctx context.Context) (context.Context, context.CancelFunc, error) {
	now := g.now()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Issuer: "gitlab.example.com", Audience: jwt.ClaimStrings{"gitlab-kas"},
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now.Add(-5 * time.Second)), ExpiresAt: jwt.NewNumericDate(now.Add(time.Minute)),
	}).SignedString(g.options.Secret)
	if err != nil {
		return nil, nil, fmt.Errorf("signing a call to kas: %w", err)
	}
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, "authorization", "bearer "+token), askLimit)
	return ctx, cancel, nil
}
