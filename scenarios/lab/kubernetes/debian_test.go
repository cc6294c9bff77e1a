package kubernetes

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// unpackerOf is one whose package holds a kubectl of a version.
func unpackerOf(t *testing.T, version string) (u unpacker, fetched *int) {
	t.Helper()
	fetched = new(int)
	dir := filepath.Join(t.TempDir(), "kubectl")
	return unpacker{dir: dir, log: slog.New(slog.DiscardHandler), inspect: ask, fetch: func(_ context.Context, work string) error {
		*fetched++
		if version == "" {
			return errors.New("no such package")
		}
		kubectlThat(t, filepath.Join(work, "usr", "bin"), answer(version))
		// The answer must outlive the rename out of the work directory.
		write(t, filepath.Join(dir, "answer"), answer(version))
		return nil
	}}, fetched
}

func TestUnpack(t *testing.T) {
	t.Parallel()
	u, fetched := unpackerOf(t, SPDYOnly)
	for range 2 { // the second finds it
		got, err := u.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(Program{Path: filepath.Join(u.dir, "kubectl"), Version: SPDYOnly}, got); d != "" {
			t.Error(d)
		}
	}
	if *fetched != 1 {
		t.Errorf("fetched %d times", *fetched)
	}
}

func TestUnpackRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ version, want string }{
		{"", "no such package"},
		{"v1.32.4", "kubectl is v1.32.4"},
	} {
		u, _ := unpackerOf(t, tt.version)
		if _, err := u.get(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want one with %q", err, tt.want)
		}
		if _, err := os.Stat(filepath.Join(u.dir, "kubectl")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q has left a kubectl behind: %v", tt.version, err)
		}
		if left, _ := filepath.Glob(filepath.Join(u.dir, "build-*")); len(left) > 0 {
			t.Errorf("%q has left %v behind", tt.version, left)
		}
	}
}
