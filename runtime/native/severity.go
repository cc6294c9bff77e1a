package native

import (
	"log/slog"
	"strings"
)

// severity is the level that a program gives to a line that it prints: nginx
// writes it as [warn], HAProxy as [WARNING]. A line without is information.
// The first bracket decides, and only where the programs put it: a request
// that is quoted further on may hold any.
func severity(line string) slog.Level {
	head, _, _ := strings.Cut(line, "]")
	_, word, found := strings.Cut(head, "[")
	if !found {
		return slog.LevelInfo
	}
	switch strings.ToLower(word) {
	case "debug":
		return slog.LevelDebug
	case "warn", "warning":
		return slog.LevelWarn
	case "error", "crit", "alert", "emerg":
		return slog.LevelError
	}
	return slog.LevelInfo // info, notice, and brackets that are no level
}
