package kas

import (
	"context"
	"log/slog"

	"kasgen/internal/kasconf"
)

// leveled is log at the level of the file. A process that logs everything, or
// warnings alone, has been told so by its user, who has the last word.
func leveled(log *slog.Logger, level kasconf.LogLevel) *slog.Logger {
	least := slog.LevelInfo
	switch level {
	case "debug":
		least = slog.LevelDebug
	case "warn":
		least = slog.LevelWarn
	case "error":
		least = slog.LevelError
	case "info":
	}
	return slog.New(levelHandler{log.Handler(), least})
}

// levelHandler has a level of its own.
type levelHandler struct {
	slog.Handler
	least slog.Level
}

func (h levelHandler) Enabled(ctx context.Context, l slog.Level) bool {
	own := func(l slog.Level) bool { return h.Handler.Enabled(ctx, l) }
	return own(slog.LevelDebug) || l >= h.least && (own(l) || own(slog.LevelInfo))
}

func (h levelHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return levelHandler{h.Handler.WithAttrs(attrs), h.least}
}

func (h levelHandler) WithGroup(name string) slog.Handler {
	return levelHandler{h.Handler.WithGroup(name), h.least}
}
