package lab

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// lastWords is a log handler that keeps the last error.
type lastWords struct {
	slog.Handler
	text atomic.Pointer[string]
}

// Enabled implements slog.Handler: errors are wanted in any case.
func (w *lastWords) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || w.Handler.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (w *lastWords) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		text := r.Message
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "error" {
				text = a.Value.String()
			}
			return true
		})
		w.text.Store(&text)
	}
	if !w.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return w.Handler.Handle(ctx, r)
}

// said is the last error, or that there was none.
func (w *lastWords) said() string {
	if text := w.text.Load(); text != nil {
		return *text
	}
	return "it waits without a word"
}

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
