package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kasgen/generator"
	"kasgen/generator/spec"
	"kasgen/internal/cli"
	"kasgen/internal/judge"
	"kasgen/runtime"
	"kasgen/runtime/probe"
	"kasgen/scenarios/lab"
	"kasgen/scenarios/lab/cluster"
	"kasgen/scenarios/loopback"
)

// TestMain has more cases run at once than there are processors: most of a case
// is waiting.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// streamModule is where Debian has it.
const streamModule = "/usr/lib/nginx/modules/ngx_stream_module.so"

// world is a bundle and what runs it.
type world struct {
	dir, state string
	front      runtime.Programs
	lab        *lab.Lab
}

// render writes the default bundle of a topology, with more sections, on ports
// and below a directory of the test's own.
func render(t *testing.T, front runtime.Programs, topology, more string) *world {
	t.Helper()
	if front == runtime.Native {
		judge.Find(t, "nginx")
		judge.Find(t, "haproxy")
	}
	dir := t.TempDir()
	overrides := append(loopback.Below(dir), spec.Override{Field: "topology", Text: topology, Source: "--topology"})
	s, findings := spec.Read("kasgen.yaml", []byte(spec.Example+more), overrides)
	if s == nil {
		t.Fatalf("%v", findings)
	}
	var ports loopback.Ports
	t.Cleanup(func() { _ = ports.Close() })
	if err := ports.Move(s); err != nil {
		t.Fatal(err)
	}
	// The name in the default is below nginx's own directory, which is the lab's.
	if _, err := os.Stat(streamModule); err == nil {
		s.Nginx.StreamModule = streamModule
	}
	b, err := generator.Render(s)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{dir: filepath.Join(dir, "bundle"), state: filepath.Join(dir, "state"), front: front}
	if _, err := b.Write(w.dir, false); err != nil {
		t.Fatal(err)
	}
	return w
}

// start runs the bundle, alone or with agents, until the test ends.
func (w *world) start(t *testing.T, alone bool) {
	t.Helper()
	var agents []lab.Way // by each way that the bundle carries
	if alone {
		agents = []lab.Way{}
	}
	l, err := lab.Start(context.WithoutCancel(t.Context()), lab.Options{
		Bundle: w.dir, State: w.state, Native: w.front == runtime.Native, Agents: agents, Version: "test",
		Log: slog.New(slog.DiscardHandler), Tell: func(string, string) {}, Limit: 30 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	w.lab = l
}

// probe calls the command, with tokens of an agent if there is one: all that it
// is told of names, paths and the CA is the bundle.
func (w *world) probe(t *testing.T, by lab.Way, more ...string) (*probe.Report, int) {
	t.Helper()
	args := []string{"probe", "--bundle", w.dir, "--format", "json"}
	for _, name := range []string{"kas.example.com", "kas-grpc.example.com"} {
		if at, err := w.lab.Address(name); err == nil {
			args = append(args, "--connect-to", name+"="+at)
		}
	}
	for _, a := range w.lab.Agents {
		if a.Way == by {
			args = append(args, "--token-file", secret(t, w.lab.Bearer(a)), "--agent-token-file", secret(t, a.Token()), "--pod", cluster.Namespace+"/"+cluster.Pod)
		}
	}
	var out, errs bytes.Buffer
	streams := cli.IO{In: &bytes.Buffer{}, Out: &out, Err: &errs}
	code := cli.Run(t.Context(), cli.Root(streams, probe.Command(streams)), append(args, more...))
	var r probe.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%d %v\n%s%s", code, err, &out, &errs)
	}
	for _, a := range w.lab.Agents {
		if strings.Contains(out.String()+errs.String(), w.lab.Bearer(a)) || strings.Contains(out.String()+errs.String(), a.Token()) {
			t.Error("a token is printed")
		}
	}
	return &r, code
}

// secret is a file with a token.
func secret(t *testing.T, token string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func show(t *testing.T, r *probe.Report) {
	t.Helper()
	var text strings.Builder
	if err := r.Write(&text, cli.Text); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + text.String())
}

func fronts() []runtime.Programs { return []runtime.Programs{runtime.Embedded, runtime.Native} }
