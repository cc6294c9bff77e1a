package agent

import (
	"context"
	"log/slog"
	"time"

	agentpb "kasgen/internal/kasrpc/agent"
)

// registerEvery is how often agentk says that it is there.
const registerEvery = 5 * time.Minute

// keepRegistered registers until ctx is done. Nothing else depends on it.
func (a *Agent) keepRegistered(ctx context.Context, client agentpb.AgentRegistrarClient) {
	retry := serviceBackoff()
	for ctx.Err() == nil {
		if a.version.Load() == nil {
			if v, err := a.cluster.version(ctx); err == nil {
				a.version.Store(v)
			} else if ctx.Err() == nil {
				a.log.Warn("registering without the cluster's version", slog.Any("error", err))
			}
		}
		_, err := client.Register(ctx, &agentpb.RegisterRequest{AgentMeta: a.meta(), PodId: a.podID})
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			a.log.Error("registering the agent's pod", slog.Any("error", err))
			retry.wait(ctx)
		default:
			sleep(ctx, registerEvery)
		}
	}
}
