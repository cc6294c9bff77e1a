package runtime

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDevelopmentRoot: clients are told whom to trust, once.
func TestDevelopmentRoot(t *testing.T) {
	t.Parallel()
	moved := t.TempDir()
	b, err := Read(unpacked(t, "../generator/testdata/render/default.txtar"), All)
	if err != nil {
		t.Fatal(err)
	}
	var out, log bytes.Buffer
	p, err := newProcess(slog.New(slog.NewTextHandler(&log, nil)), &out, runOptions{state: moved}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.prepare(b); err != nil {
		t.Fatal(err)
	}
	root, err := os.ReadFile(filepath.Join(moved, "tls/ca.crt"))
	if err != nil || !strings.HasPrefix(string(root), "-----BEGIN CERTIFICATE-----") || !strings.HasSuffix(out.String(), ":\n"+string(root)) {
		t.Errorf("printed %q, %v, want the root %q", out.String(), err, root)
	}
	if said := out.String() + log.String(); strings.Contains(said, "PRIVATE") {
		t.Error("a key was printed")
	}
	out.Reset()
	if _, _, err := p.prepare(b); err != nil || out.Len() > 0 {
		t.Errorf("a second time %q, %v", out.String(), err)
	}
}
