package lab

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// ending is a log handler that falls silent when the lab ends: that agents
// then find nobody to connect to is no news.
type ending struct {
	slog.Handler
	ended *atomic.Bool
}

// Enabled implements slog.Handler.
func (e ending) Enabled(ctx context.Context, level slog.Level) bool {
	return !e.ended.Load() && e.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (e ending) WithAttrs(attrs []slog.Attr) slog.Handler {
	return ending{e.Handler.WithAttrs(attrs), e.ended}
}

// WithGroup implements slog.Handler.
func (e ending) WithGroup(name string) slog.Handler {
	return ending{e.Handler.WithGroup(name), e.ended}
}
