package kubernetes

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ownMod is what `go mod edit -json` prints of Kubernetes' go.mod, in short.
const ownMod = `{
	"Module": {"Path": "k8s.io/kubernetes"},
	"Go": "1.26.0",
	"GoDebug": [{"Key": "default", "Value": "go1.26"}],
	"Replace": [
		{"Old": {"Path": "k8s.io/api"}, "New": {"Path": "./staging/src/k8s.io/api"}},
		{"Old": {"Path": "k8s.io/kubectl"}, "New": {"Path": "./staging/src/k8s.io/kubectl"}},
		{"Old": {"Path": "a.example/b", "Version": "v1.0.0"}, "New": {"Path": "c.example/b", "Version": "v1.0.1"}}
	]
}`

const wantMod = `module kubectl

go 1.26.0

godebug default=go1.26

require k8s.io/kubernetes v1.37.2

replace k8s.io/api => k8s.io/api v0.37.2
replace k8s.io/kubectl => k8s.io/kubectl v0.37.2
replace a.example/b v1.0.0 => c.example/b v1.0.1
`

// workshop is a builder with a played go in dir home.
func workshop(t *testing.T) (b builder, home string, log *bytes.Buffer) {
	t.Helper()
	home, log = t.TempDir(), new(bytes.Buffer)
	write(t, filepath.Join(home, "builds"), Version)
	return builder{
		command: kubectl, version: Version, inspect: inspect,
		tool: cast(t, home, "go"),
		dir:  filepath.Join(t.TempDir(), "kasgen", "kubectl"),
		log:  slog.New(slog.NewTextHandler(log, nil)),
	}, home, log
}

func calls(t *testing.T, home string) []call {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(home, "calls"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var all []call
	for line := range bytes.Lines(text) {
		var c call
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

func TestBuild(t *testing.T) {
	t.Parallel()
	b, home, _ := workshop(t)
	left := filepath.Join(b.dir, "build-of-one-who-died")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds it
		got, err := b.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(Program{Path: filepath.Join(b.dir, "kubectl"), Version: Version}, got); diff != "" {
			t.Error(diff)
		}
	}
	made := calls(t, home)
	for _, c := range made {
		for i, arg := range c.Args {
			if i > 0 && c.Args[i-1] == "-o" {
				if rel, err := filepath.Rel(b.dir, arg); err != nil || !strings.HasPrefix(rel, "build-") {
					t.Errorf("built as %s, not in a directory of its own in %s", arg, b.dir)
				}
				c.Args[i] = "WORK/kubectl"
			}
		}
	}
	env := map[string]string{"GOFLAGS": "-modcacherw", "GOWORK": "off", "CGO_ENABLED": "0"}
	if diff := cmp.Diff([]call{
		{Args: []string{"mod", "download", "-json", "k8s.io/kubernetes@v1.37.2"}, Env: env},
		{Args: []string{"mod", "edit", "-json", "/modules/v.mod"}, Env: env},
		{Args: []string{
			"build", "-mod=mod", "-trimpath", "-ldflags=-s -w " +
				"-X k8s.io/component-base/version.gitVersion=v1.37.2 -X k8s.io/component-base/version.gitMajor=1 " +
				"-X k8s.io/component-base/version.gitMinor=37 -X k8s.io/component-base/version.gitTreeState=archive " +
				"-X k8s.io/client-go/pkg/version.gitVersion=v1.37.2 -X k8s.io/client-go/pkg/version.gitMajor=1 " +
				"-X k8s.io/client-go/pkg/version.gitMinor=37 -X k8s.io/client-go/pkg/version.gitTreeState=archive",
			"-o", "WORK/kubectl", "k8s.io/kubernetes/cmd/kubectl",
		}, Env: env},
	}, made); diff != "" {
		t.Error(diff)
	}
	mod, err := os.ReadFile(filepath.Join(home, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantMod, string(mod)); diff != "" {
		t.Error(diff)
	}
	leftovers(t, b.dir, "answer", "kubectl", "lock")
}

func leftovers(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBuildFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, file, text string
		want             string
	}{
		{"download", "download", "no such host", "go mod download: no such host"},
		{"edit", "edit", "go: unknown directive", "go mod edit: exit status 1: go: unknown directive"},
		{"build", "build", "go: downloading x\nx.go:1:1: undefined: y", "go build: exit status 1: x.go:1:1: undefined: y"},
		{"another version", "builds", "v1.37.1", "kubectl is v1.37.1, not v1.37.2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b, home, _ := workshop(t)
			write(t, filepath.Join(home, test.file), test.text)
			_, err := b.get(t.Context())
			if err == nil || !strings.HasSuffix(err.Error(), test.want) {
				t.Errorf("error %v, want one that ends with %q", err, test.want)
			}
			if _, err := os.Lstat(filepath.Join(b.dir, "kubectl")); err == nil {
				t.Error("a failed build left a kubectl")
			}
			if left, _ := filepath.Glob(filepath.Join(b.dir, "build-*")); left != nil {
				t.Errorf("a failed build left %v", left)
			}
		})
	}
}

func TestBuildCalledOff(t *testing.T) {
	t.Parallel()
	b, home, _ := workshop(t)
	at := filepath.Join(home, "socket")
	l, err := net.Listen("unix", at)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	write(t, filepath.Join(home, "hangs"), at)
	ctx, cancel := context.WithCancel(t.Context())
	said := make(chan string, 1)
	go func() {
		defer close(said)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		from := bufio.NewReader(conn)
		from.ReadString('\n') // begun
		cancel()
		heard, _ := from.ReadString('\n')
		said <- heard
	}()
	if _, err := b.get(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	l.Close() // should go never have been run
	if heard := <-said; heard != "interrupt\n" {
		t.Errorf("go got %q, want an interrupt", heard)
	}
	leftovers(t, b.dir, "lock")
}

// TestOnce has several processes want kubectl at the same time.
func TestOnce(t *testing.T) {
	t.Parallel()
	b, home, log := workshop(t)
	getter := cast(t, home, "getter")
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	unlock, err := lock(t.Context(), filepath.Join(b.dir, "lock"), b.command, b.log)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if log.Len() > 0 {
		t.Errorf("waited for a lock that nobody held: %s", log)
	}
	type process struct {
		*exec.Cmd
		stdout, stderr bytes.Buffer
	}
	var all []*process
	for range 4 {
		p := &process{Cmd: exec.CommandContext(t.Context(), getter, b.dir)}
		p.Stdout, p.Stderr = &p.stdout, &p.stderr
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if made := calls(t, home); made != nil {
		t.Errorf("built without the lock: %v", made)
	}
	unlock()
	for _, p := range all {
		if err := p.Wait(); err != nil || p.stdout.String() != "/kubectl" {
			t.Errorf("a process got %q, %v: %s", p.stdout.String(), err, p.stderr.String())
		}
	}
	if made := calls(t, home); len(made) != 3 {
		t.Errorf("%d calls of go, want those of one build: %v", len(made), made)
	}
}

// TestLockWaits calls off a wait once it is known to have begun.
func TestLockWaits(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), path, kubectl, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := lock(ctx, path, kubectl, slog.New(onLog{slog.DiscardHandler, cancel})); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	again, err := lock(t.Context(), path, kubectl, slog.New(onLog{slog.DiscardHandler, unlock}))
	if err != nil {
		t.Fatal(err)
	}
	again()
}

// onLog does something at each line.
type onLog struct {
	slog.Handler
	do func()
}

func (onLog) Enabled(context.Context, slog.Level) bool { return true }

func (h onLog) Handle(context.Context, slog.Record) error { h.do(); return nil }
