package scenarios

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kasgen/generator"
	"kasgen/generator/spec"
	"kasgen/scenarios/lab"
	"kasgen/scenarios/operation"
)

func TestMain(m *testing.M) {
	quiet(nil, false)
	// Pebble validates for real and rejects nonces; it only does not sleep
	// before it validates.
	if err := os.Setenv("PEBBLE_VA_NOSLEEP", "1"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m,
		// A closed SPDY connection waits a second for somebody to take the
		// error of closing it twice; client-go does not.
		goleak.IgnoreTopFunction("github.com/moby/spdystream.(*Connection).shutdown"),
		// client-go's pings over WebSocket find out at the next one, at most
		// 5 seconds later, that the connection is gone.
		goleak.IgnoreTopFunction("k8s.io/client-go/tools/remotecommand.(*heartbeat).start"),
		// The node's code waits five seconds for the second of two streams.
		goleak.IgnoreAnyFunction("k8s.io/cri-streaming/pkg/streaming/portforward.(*httpStreamHandler).monitorStreamPair"),
		// Pebble has no end to this one.
		goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"),
	)
}

// rendered is the default bundle of topology A in a directory of the test's
// own.
func rendered(t *testing.T) string {
	t.Helper()
	return renderedAs(t, "A", "")
}

// renderedFrom is a bundle of topology A with more sections.
func renderedFrom(t *testing.T, more string) string {
	t.Helper()
	return renderedAs(t, "A", more)
}

// renderedAs is the default bundle of a topology with more sections.
func renderedAs(t *testing.T, topology, more string) string {
	t.Helper()
	text := spec.Example + more
	if more != "" && !strings.Contains(more, "kas:") {
		text += "kas: {kind: embedded}\n"
	}
	s, findings := spec.Read("kasgen.yaml", []byte(text), []spec.Override{{Field: "topology", Text: topology, Source: "--topology"}})
	if s == nil {
		t.Fatalf("%v\n%s", findings, text)
	}
	b, err := generator.Render(s)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "bundle")
	if _, err := b.Write(dir, false); err != nil {
		t.Fatal(err)
	}
	return dir
}

// edit replaces text in a file of a bundle; it has to be there.
func edit(t *testing.T, dir, file string, oldnew ...string) {
	t.Helper()
	path := filepath.Join(dir, file)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(string(data), oldnew[i]) {
			t.Fatalf("%s holds no %q:\n%s", file, oldnew[i], data)
		}
		data = []byte(strings.ReplaceAll(string(data), oldnew[i], oldnew[i+1]))
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// moves is what a lab has told of its redirections.
type moves struct {
	mu sync.Mutex
	m  map[string]string
}

func (m *moves) tell(from, to string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.m[from] = to
}

func (m *moves) has(from string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.m[from]
	return ok
}

// start runs a bundle in a lab that ends with the test.
func start(t *testing.T, dir string) (*lab.Lab, *moves) {
	t.Helper()
	m := &moves{m: map[string]string{}}
	return startWith(t, lab.Options{Bundle: dir, Tell: m.tell, Limit: 20 * time.Second}), m
}

func startWith(t *testing.T, o lab.Options) *lab.Lab {
	t.Helper()
	o.Version = "test"
	o.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	if o.Tell == nil {
		o.Tell = func(string, string) {}
	}
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

// one runs a single operation through the first agent.
func one(t *testing.T, l *lab.Lab, name string, tr operation.Transport) error {
	t.Helper()
	return oneBy(t, l, l.Agents[0], name, tr)
}

func oneBy(t *testing.T, l *lab.Lab, a lab.Agent, name string, tr operation.Transport) error {
	t.Helper()
	target, _, err := demoOptions{}.target()
	if err != nil {
		t.Fatal(err)
	}
	target.Config = l.RESTConfig(a, t.Name())
	for _, op := range operation.All() {
		if op.Name == name {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			return op.Run(ctx, target, tr)
		}
	}
	t.Fatalf("there is no operation %s", name)
	return nil
}
