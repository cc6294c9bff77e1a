package omnibus

import (
	"bytes"
	"context"
	"crypto/tls"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kasgen/generator/spec"
	"kasgen/internal/cli"
	"kasgen/omnibus/omnibustest"
	"kasgen/runtime"
	"kasgen/scenarios/loopback"
)

// said is what a command prints while it runs.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func kasgen(ctx context.Context, out *said, args ...string) int {
	streams := cli.IO{In: strings.NewReader(""), Out: out, Err: out}
	return cli.Run(ctx, cli.Root(streams, runtime.Commands(streams)...), args)
}

// TestRun runs a folder that stands for a machine: every path that a file names
// is looked for below it, Omnibus's secrets and kasgen's certificates alike.
func TestRun(t *testing.T) {
	t.Parallel()
	var ports loopback.Ports
	t.Cleanup(func() {
		if err := ports.Close(); err != nil {
			t.Error(err)
		}
	})
	front := ""
	s := scene{topology: "packaged", version: "18.11"}
	root := omnibustest.Machine(t, s.text("tls: {source: developmentCA}\n"), "", s.version, func(moved *spec.Spec) {
		if err := ports.Move(moved); err != nil {
			t.Fatal(err)
		}
		front = moved.LoadBalancer.Listen[0]
	})
	secrets(t, root)

	var checked said
	if code := kasgen(t.Context(), &checked, "run", "--check", "--registry", "memory", root); code != cli.Done {
		t.Errorf("run --check: exit code %d", code)
	}
	for _, want := range []string{"would listen on " + front + "\n", "gitlab-rails.conf:2:1: warning: KAS3102: the vhost for gitlab.example.com is not run here"} {
		if !strings.Contains(checked.String(), want) {
			t.Errorf("run --check does not say %q:\n%s", want, checked.String())
		}
	}
	var refused said
	if code := kasgen(t.Context(), &refused, "run", "--check", root); code != cli.Failure || !strings.Contains(refused.String(), "give --registry memory") {
		t.Errorf("with Redis: exit code %d\n%s", code, refused.String())
	}
	var drawn said
	if code := kasgen(t.Context(), &drawn, "topology", "show", "--width", "100", root); code != cli.Done || !strings.Contains(drawn.String(), "listens on "+front) || strings.Contains(drawn.String(), "gitlab-workhorse") {
		t.Errorf("topology show: exit code %d\n%s", code, drawn.String())
	}

	ctx, stop := context.WithCancel(t.Context())
	var out said
	ended := make(chan int, 1)
	go func() { ended <- kasgen(ctx, &out, "run", "--registry", "memory", root) }()
	answers := func() bool {
		c, err := tls.Dial("tcp", front, &tls.Config{ServerName: "kas.gitlab.example.com", InsecureSkipVerify: true}) // of a CA that was just made
		if err != nil {
			return false
		}
		c.Close()
		return true
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for up := false; !up; {
		select {
		case code := <-ended:
			t.Fatalf("it has ended with %d\n%s", code, out.String())
		case <-limit:
			t.Fatalf("nobody answers on %s\n%s", front, out.String())
		case <-tick.C:
			up = answers()
		}
	}
	stop()
	if code := <-ended; code != cli.Done {
		t.Errorf("exit code %d\n%s", code, out.String())
	}
	omnibustest.Read(t, filepath.Join(root, "var/lib/kasgen/tls/kas.crt"))
}
