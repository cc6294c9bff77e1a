package scenarios

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"kasgen/scenarios/lab"
	"kasgen/scenarios/lab/kubernetes"
)

// shell is a kubectl with the demo's kubeconfig.
type shell struct {
	*lab.Lab
	path, dir string
	env       []string
}

func newShell(t *testing.T) *shell {
	t.Helper()
	found, err := kubernetes.GetKubectl(t.Context(), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	l, _ := start(t, rendered(t))
	text, err := l.Kubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	s := &shell{Lab: l, path: found.Path, dir: t.TempDir()}
	file := filepath.Join(s.dir, "kubeconfig")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s.env = []string{"KUBECONFIG=" + file, "HOME=" + s.dir, "PATH=" + os.Getenv("PATH")}
	return s
}

func (s *shell) command(t *testing.T, w way, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, s.path, append([]string{"--context", w.agent}, args...)...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = append(slices.Clone(s.env), w.env...), s.dir, 5*time.Second
	return cmd
}

// run is what kubectl prints, and its exit code.
func (s *shell) run(t *testing.T, w way, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := s.command(t, w, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("kubectl %v: %v: %s", args, err, errs.String())
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// way is an agent and a transport, as kubectl is told to take it.
type way struct {
	agent, transport, protocol string
	env                        []string
}

func ways() []way {
	var w []way
	for _, agent := range []string{"wss", "grpcs"} {
		for transport, protocol := range map[string]string{"true": "websocket", "false": "SPDY/3.1"} {
			w = append(w, way{agent, protocol, protocol, []string{"KUBECTL_REMOTE_COMMAND_WEBSOCKETS=" + transport, "KUBECTL_PORT_FORWARD_WEBSOCKETS=" + transport}})
		}
	}
	return w
}

// spoken are the upgrades that the API server has seen from any kubectl.
func (s *shell) spoken(t *testing.T, want string) {
	t.Helper()
	got := s.Upgrades()
	if len(got) == 0 {
		t.Error("the API server has seen no upgrade")
	}
	for _, p := range got {
		if p != want {
			t.Errorf("the API server spoke %s, want %s alone", p, want)
		}
	}
}

// TestKubectl is the promise itself: the real kubectl through front, edge,
// kas, tunnel and agent, with the kubeconfig that the demo hands out.
func TestKubectl(t *testing.T) {
	t.Parallel()
	for _, w := range ways() {
		t.Run(w.agent+"/"+w.transport, func(t *testing.T) {
			t.Parallel()
			s := newShell(t)
			if stdout, stderr, code := s.run(t, w, "", "get", "pods", "-o", "name"); stdout != "pod/demo\n" || code != 0 {
				t.Errorf("get: %q, %q, exit code %d", stdout, stderr, code)
			}
			stdout, stderr, code := s.run(t, w, "typed\n", "exec", "-i", "demo", "--", "sh", "-c", "cat; echo no >&2; exit 9")
			if stdout != "typed\n" || !strings.HasPrefix(stderr, "no\n") || code != 9 {
				t.Errorf("exec: %q, %q, exit code %d", stdout, stderr, code)
			}
			payload := make([]byte, 1<<20)
			rand.Read(payload)
			if err := os.WriteFile(filepath.Join(s.dir, "there"), payload, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"cp", "there", "default/demo:kept"}, {"cp", "default/demo:kept", "back"}} {
				if _, stderr, code := s.run(t, w, "", args...); code != 0 {
					t.Errorf("%v: %q, exit code %d", args, stderr, code)
				}
			}
			if back, err := os.ReadFile(filepath.Join(s.dir, "back")); err != nil || !bytes.Equal(back, payload) {
				t.Errorf("cp: %d bytes came back of %d, or others: %v", len(back), len(payload), err)
			}
			s.forward(t, w)
			s.killed(t, w)
			s.spoken(t, w.protocol)
		})
	}
}

// lines starts cmd and gives its first line of output.
func firstLine(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	return line
}

func (s *shell) forward(t *testing.T, w way) {
	cmd := s.command(t, w, "port-forward", "--address=127.0.0.1", "pod/demo", ":8080")
	line := firstLine(t, cmd)
	m := regexp.MustCompile(`^Forwarding from (127\.0\.0\.1:\d+) -> 8080\n$`).FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("kubectl says %q", line)
	}
	for range 2 {
		conn, err := net.Dial("tcp", m[1])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "over there"); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if back, err := io.ReadAll(conn); string(back) != "over there" || err != nil {
			t.Errorf("port-forward: %q came back, %v", back, err)
		}
	}
	s.kill(t, cmd)
}

// killed kills a client in the middle of a command that neither reads nor
// prints, so that nothing but the connection can tell.
func (s *shell) killed(t *testing.T, w way) {
	cmd := s.command(t, w, "exec", "demo", "--", "sh", "-c", "echo started; sleep 600")
	if line := firstLine(t, cmd); line != "started\n" {
		t.Fatalf("%q", line)
	}
	if n := s.Connections(); n == 0 {
		t.Error("no connection at the API server while the command runs")
	}
	s.kill(t, cmd)
}

// kill ends kubectl without a word; within five seconds nothing may be left of
// it at the API server.
func (s *shell) kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	for limit := time.Now().Add(5 * time.Second); s.Connections() > 0; {
		if time.Now().After(limit) {
			t.Errorf("five seconds after the client was killed the API server has %d connections open", s.Connections())
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
