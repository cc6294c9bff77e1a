package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	agentpb "kasgen/internal/kasrpc/agent"
)

// configuration is what kas has told the agent so far.
type configuration struct {
	agentID int64
	commit  string
}

// followConfiguration asks for the configuration until ctx is done. A kas that
// serves none is tolerated.
func (a *Agent) followConfiguration(ctx context.Context, client agentpb.AgentConfigurationClient) {
	retry := serviceBackoff()
	var known configuration
	for ctx.Err() == nil {
		err := a.readConfigurations(ctx, client, &known)
		if err == nil || ctx.Err() != nil {
			continue // an orderly end: ask again at once
		}
		if status.Code(err) == codes.Unimplemented {
			a.ready.configurationSettled()
		}
		a.log.Warn("getting the configuration", slog.Any("error", err))
		retry.wait(ctx)
	}
}

// readConfigurations follows one stream to its end.
func (a *Agent) readConfigurations(ctx context.Context, client agentpb.AgentConfigurationClient, known *configuration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.GetConfiguration(ctx, &agentpb.ConfigurationRequest{
		CommitId: known.commit, AgentMeta: a.meta(), SkipRegister: true,
	}, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := known.take(r); err != nil {
			return err
		}
		a.ready.configurationSettled()
	}
}

// take accepts r. An agent's id never changes: another one is another agent's
// configuration.
func (c *configuration) take(r *agentpb.ConfigurationResponse) error {
	id := r.GetConfiguration().GetAgentId()
	switch {
	case r.GetConfiguration() == nil || r.GetCommitId() == "":
		return errors.New("kas sent a configuration without its content or commit_id")
	case c.agentID != 0 && id != c.agentID:
		return fmt.Errorf("kas says agent id %d, and said %d before", id, c.agentID)
	}
	c.agentID, c.commit = id, r.GetCommitId()
	return nil
}
