package kubernetes

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

// TestFromSource takes minutes on a machine where nothing is cached, so there
// it must be asked for.
func TestFromSource(t *testing.T) {
	t.Parallel()
	dir, err := cacheDir(kubectl, Version)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "kubectl")); err != nil && os.Getenv("KASGEN_BUILD_KUBECTL") != "1" {
		t.Skipf("%v; KASGEN_BUILD_KUBECTL=1 builds it", err)
	}
	got, err := fromSource(t.Context(), kubectl, Version, inspect, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	if got.Version != Version {
		t.Errorf("version %s, want %s", got.Version, Version)
	}
}
