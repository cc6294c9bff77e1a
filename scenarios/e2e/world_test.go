//go:build e2e

package e2e

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"

	"kasgen/generator"
	"kasgen/generator/spec"
	"kasgen/internal/judge"
	"kasgen/runtime"
	"kasgen/scenarios/lab"
	"kasgen/scenarios/loopback"
)

func topologies() []string { return []string{"A", "B", "D", "packaged"} }

const embedded, native = runtime.Embedded, runtime.Native

// bundle is the default bundle of a topology.
func bundle(t *testing.T, topology string, front runtime.Programs) string {
	t.Helper()
	dir := t.TempDir()
	overrides := []spec.Override{{Field: "topology", Text: topology, Source: "--topology"}}
	if front == native {
		overrides = append(overrides, loopback.Below(dir)...)
	}
	s, findings := spec.Read("kasgen.yaml", []byte(spec.Example), overrides)
	if s == nil {
		t.Fatalf("%v", findings)
	}
	if front == native {
		var ports loopback.Ports
		t.Cleanup(func() { _ = ports.Close() })
		if err := ports.Move(s); err != nil {
			t.Fatal(err)
		}
	}
	b, err := generator.Render(s)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "bundle")
	if _, err := b.Write(to, false); err != nil {
		t.Fatal(err)
	}
	return to
}

// startLab runs a topology until the test ends.
func startLab(t *testing.T, topology string, front runtime.Programs, o lab.Options) *lab.Lab {
	t.Helper()
	if front == native {
		judge.Find(t, "nginx")
		judge.Find(t, "haproxy")
	}
	o.Bundle, o.Native, o.Version = bundle(t, topology, front), front == native, "test"
	o.Log, o.Tell = slog.New(slog.DiscardHandler), func(string, string) {}
	l, err := lab.Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// world is a topology that runs.
type world struct {
	*lab.Lab
	topology   string
	front      runtime.Programs
	kubeconfig string
}

func (w *world) name() string { return w.topology + " " + string(w.front) }

// lockedWriter is for several goroutines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
