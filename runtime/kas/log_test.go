package kas

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/kasconf"
)

// TestLevels: the file says what is logged, unless the process has been told.
func TestLevels(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		process slog.Level
		file    kasconf.LogLevel
		want    string
	}{
		{slog.LevelInfo, "debug", "debug info warn error"},
		{slog.LevelInfo, "info", "info warn error"},
		{slog.LevelInfo, "warn", "warn error"},
		{slog.LevelInfo, "error", "error"},
		{slog.LevelDebug, "error", "debug info warn error"},
		{slog.LevelWarn, "debug", "warn error"},
		{slog.LevelWarn, "error", "error"},
	} {
		var out bytes.Buffer
		log := leveled(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: tt.process})), tt.file).With("a", 1).WithGroup("g")
		log.Debug("debug")
		log.Info("info")
		log.Warn("warn")
		log.Error("error")
		var got []string
		for line := range strings.Lines(out.String()) {
			for field := range strings.FieldsSeq(line) {
				if m, ok := strings.CutPrefix(field, "msg="); ok {
					got = append(got, m)
				}
			}
		}
		if d := cmp.Diff(tt.want, strings.Join(got, " ")); d != "" {
			t.Errorf("process %v, file %s (-want +got):\n%s", tt.process, tt.file, d)
		}
	}
}
