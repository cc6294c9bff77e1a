//go:build unix

package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestOwner: what root writes for a service belongs to the service, and what an
// operator keeps as root's stays root's.
func TestOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	const service, operator = 12345, 54321
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	err := errors.Join(os.Chown(dir, service, service), os.WriteFile(at("root's"), nil, 0o600), os.WriteFile(at("operator's"), nil, 0o600),
		os.Chown(at("operator's"), operator, operator))
	for _, name := range []string{"new", "root's", "operator's"} {
		err = errors.Join(err, Write(at(name), []byte("x"), 0o600))
	}
	err = errors.Join(err, MkdirAll(at("a/b"), 0o700), Write(at("a/b/c"), []byte("x"), 0o600), MkdirAll(at("a/b"), 0o700))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint32{"new": service, "root's": 0, "operator's": operator, "a": service, "a/b": service, "a/b/c": service} {
		info, err := os.Stat(at(name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Sys().(*syscall.Stat_t).Uid; got != want {
			t.Errorf("%s belongs to %d, want %d", name, got, want)
		}
	}
	if MkdirAll(at("new"), 0o700) == nil {
		t.Error("a file is taken for a directory")
	}
}
