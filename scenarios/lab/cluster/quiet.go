package cluster

import (
	"context"
	"log/slog"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// withLogger gives Kubernetes' code a logger that reports at debug level: it
// calls a client that hung up an error, and here clients hang up all the time.
func withLogger(ctx context.Context, log *slog.Logger) context.Context {
	return klog.NewContext(ctx, logr.FromSlogHandler(demoted{log.Handler()}))
}

// demoted is a handler that turns every record into a debug record.
type demoted struct{ next slog.Handler }

func (d demoted) Enabled(ctx context.Context, level slog.Level) bool {
	// Kubernetes' verbose records, below info, are left out altogether.
	return level >= slog.LevelInfo && d.next.Enabled(ctx, slog.LevelDebug)
}

func (d demoted) Handle(ctx context.Context, r slog.Record) error {
	// logr hands errors over without asking first.
	if !d.Enabled(ctx, r.Level) {
		return nil
	}
	r.Level = slog.LevelDebug
	return d.next.Handle(ctx, r)
}

func (d demoted) WithAttrs(attrs []slog.Attr) slog.Handler { return demoted{d.next.WithAttrs(attrs)} }
func (d demoted) WithGroup(name string) slog.Handler       { return demoted{d.next.WithGroup(name)} }
