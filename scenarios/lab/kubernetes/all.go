package kubernetes

import (
	"context"
	"log/slog"
)

// StandIn is built where no fit kubectl is installed: of the time when kubectl
// began to speak WebSocket by itself.
const StandIn = "v1.32.13"

// Get finds a program, or makes it.
type Get func(context.Context, *slog.Logger) (Program, error)

// Kubectls are three: one as people have it, that of Version, and one that
// speaks SPDY alone.
func Kubectls() []Get {
	return []Get{getUsual, func(ctx context.Context, log *slog.Logger) (Program, error) { return BuildKubectl(ctx, Version, log) }, GetDebianKubectl}
}

// All are the programs that the lab can use, in the order in which a build of
// one is of most use to the next.
func All() []Get { return append([]Get{GetServer, GetKubelet}, Kubectls()...) }

// getUsual is the installed kubectl, or StandIn.
func getUsual(ctx context.Context, log *slog.Logger) (Program, error) {
	p, unfit := Installed(ctx)
	if unfit == nil || ctx.Err() != nil {
		return p, unfit
	}
	log.WarnContext(ctx, "another kubectl stands in for the installed one", "version", StandIn, "reason", unfit)
	return BuildKubectl(ctx, StandIn, log)
}
