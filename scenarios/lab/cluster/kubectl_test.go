package cluster

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"kasgen/scenarios/lab/kubernetes"
)

// shell is a kubectl that is set up for a cluster.
type shell struct {
	*lab
	path string
	env  []string
	dir  string
}

// newShell finds a fit kubectl, or builds one, which takes minutes once.
func newShell(t *testing.T) *shell {
	t.Helper()
	found, err := kubernetes.GetKubectl(t.Context(), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	l := startLab(t)
	dir := t.TempDir()
	config := l.RESTConfig()
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: lab
clusters: [{name: lab, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: lab, user: {token: %q}}]
contexts: [{name: lab, context: {cluster: lab, user: lab}}]
`, config.Host, base64.StdEncoding.EncodeToString(config.CAData), config.BearerToken)
	file := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return &shell{lab: l, path: found.Path, dir: dir, env: []string{
		"KUBECONFIG=" + file, "HOME=" + dir, "PATH=" + os.Getenv("PATH"),
	}}
}

func (s *shell) command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.path, args...)
	cmd.Env = append(append([]string(nil), s.env...), env...)
	cmd.Dir = s.dir
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// run runs kubectl to its end and returns what it printed and its exit code.
func (s *shell) run(t *testing.T, env []string, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := s.command(ctx, env, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("kubectl %v: %v: %s", args, err, errs.String())
	}
	return out.String(), early.ReplaceAllString(errs.String(), ""), cmd.ProcessState.ExitCode()
}

// early is what kubectl logs of an API server's first message on a stream, which
// is empty, where it comes before kubectl has made the stream.
var early = regexp.MustCompile(`(?m)^E\d{4} .* websocket\.go:\d+\] Unknown stream id \d+, discarding message\n`)

// want runs kubectl, which must succeed without a word on standard error.
func (s *shell) want(t *testing.T, env []string, args ...string) string {
	t.Helper()
	stdout, stderr, code := s.run(t, env, "", args...)
	if code != 0 || stderr != "" {
		t.Fatalf("kubectl %v: exit code %d, standard error %q", args, code, stderr)
	}
	return stdout
}

// switched checks that all upgrades on a subresource were of one protocol,
// and that there was one.
func (s *shell) switched(t *testing.T, subresource, protocol, subprotocol string) {
	t.Helper()
	n := 0
	for _, o := range s.requests() {
		if !strings.HasSuffix(o.Path, "/"+subresource) {
			continue
		}
		n++
		if o.Status != 101 || o.Protocol != protocol || o.Subprotocol != subprotocol {
			t.Errorf("%s %s: status %d, %q with %q; want %q with %q", o.Method, o.Path, o.Status, o.Protocol, o.Subprotocol, protocol, subprotocol)
		}
	}
	if n == 0 {
		t.Errorf("no request for %s arrived", subresource)
	}
}

func TestKubectlReads(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	if got := s.want(t, nil, "get", "pods"); !regexp.MustCompile(`^NAME +READY +STATUS +RESTARTS +AGE\ndemo +1/1 +Running +0 +\d+s\n$`).MatchString(got) {
		t.Errorf("get pods: %q", got)
	}
	if got := s.want(t, nil, "get", "pods,ns", "-A", "-o", "wide"); !strings.Contains(got, "pod/demo") || !strings.Contains(got, "namespace/kube-system") {
		t.Errorf("get pods,ns -A: %q", got)
	}
	got := s.want(t, nil, "get", "pod", "demo", "-o", "yaml")
	for _, want := range []string{"apiVersion: v1\n", "kind: Pod\n", "  name: demo\n", "  phase: Running\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("get -o yaml has no %q:\n%s", want, got)
		}
	}
	if got := s.want(t, nil, "logs", "demo", "--tail=1"); !strings.HasPrefix(got, "tick ") {
		t.Errorf("logs: %q", got)
	}
	if got := s.want(t, nil, "auth", "whoami", "--as=jo", "--as-group=devs"); !regexp.MustCompile(`Username +jo\n`).MatchString(got) || !strings.Contains(got, "devs") {
		t.Errorf("auth whoami: %q", got)
	}
	// Standard error may warn of a client that is much older than the server.
	if got, _, _ := s.run(t, nil, "", "version"); !strings.Contains(got, "+kasgen-lab") {
		t.Errorf("version: %q", got)
	}
	if got := s.want(t, nil, "api-resources"); !strings.Contains(got, "configmaps") {
		t.Errorf("api-resources: %q", got)
	}
	s.want(t, nil, "label", "pod", "demo", "a=b")
	if got := s.want(t, nil, "get", "pods", "-l", "a=b", "-o", "name"); got != "pod/demo\n" {
		t.Errorf("get by label: %q", got)
	}
	if _, stderr, code := s.run(t, nil, "", "get", "pod", "other"); code != 1 || stderr != "Error from server (NotFound): pods \"other\" not found\n" {
		t.Errorf("get of a pod that is not there: exit code %d, %q", code, stderr)
	}
}

func TestKubectlWrites(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	data := func() string { return s.want(t, nil, "get", "cm", "a", "-o", "jsonpath={.data.k}") }
	manifest := func(value string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: " + value + "}\n"
	}
	s.want(t, nil, "create", "configmap", "a", "--from-literal=k=v")
	if got := data(); got != "v" {
		t.Errorf("created with %q", got)
	}
	s.want(t, nil, "delete", "cm", "a")
	for _, value := range []string{"first", "second"} {
		if _, stderr, code := s.run(t, nil, manifest(value), "apply", "-f", "-"); code != 0 || stderr != "" {
			t.Fatalf("apply: exit code %d, %q", code, stderr)
		}
		if got := data(); got != value {
			t.Errorf("applied %q, and it is %q", value, got)
		}
	}
	if _, stderr, code := s.run(t, nil, manifest("third")+"dota: {}\n", "apply", "-f", "-"); code != 1 || !strings.Contains(stderr, `unknown field "dota"`) {
		t.Errorf("apply with a field that does not exist: exit code %d, %q", code, stderr)
	}
}

func TestKubectlFollowsLogs(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := s.command(ctx, nil, "logs", "-f", "demo", "--tail=0")
	lines := pipeLines(t, cmd)
	for range 3 {
		if line := lines(); !strings.HasPrefix(line, "tick ") {
			t.Fatalf("line %q", line)
		}
	}
	kill(t, cmd)
}

// pipeLines starts cmd and returns what reads its next line.
func pipeLines(t *testing.T, cmd *exec.Cmd) func() string {
	t.Helper()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(stdout)
	return func() string {
		t.Helper()
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("reading from kubectl: %v after %q", err, line)
		}
		return line
	}
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // the error is that it was killed
}

// way is one of the two transports, as kubectl is told to take it.
type way struct {
	name, protocol, exec, forward string
	env                           []string
}

func ways() []way {
	return []way{
		{"WebSocket", "websocket", "v5.channel.k8s.io", "SPDY/3.1+portforward.k8s.io",
			[]string{"KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true", "KUBECTL_PORT_FORWARD_WEBSOCKETS=true"}},
		{"SPDY", "SPDY/3.1", "v4.channel.k8s.io", "portforward.k8s.io",
			[]string{"KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false", "KUBECTL_PORT_FORWARD_WEBSOCKETS=false"}},
	}
}

func TestKubectlStreams(t *testing.T) {
	t.Parallel()
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			t.Run("exec", func(t *testing.T) {
				t.Parallel()
				s := newShell(t)
				stdout, stderr, code := s.run(t, w.env, "typed\n", "exec", "-i", "demo", "--", "sh", "-c", "cat; echo no >&2; exit 9")
				if stdout != "typed\n" || stderr != "no\ncommand terminated with exit code 9\n" || code != 9 {
					t.Errorf("standard output %q, standard error %q, exit code %d", stdout, stderr, code)
				}
				if stdout, stderr, code = s.run(t, w.env, "", "exec", "demo", "--", "kasgen-no-such-program"); code != 1 || !strings.Contains(stderr, "not found in $PATH") {
					t.Errorf("a program that is not there: %q, %q, exit code %d", stdout, stderr, code)
				}
				s.switched(t, "exec", w.protocol, w.exec)
			})
			t.Run("cp", func(t *testing.T) {
				t.Parallel()
				s := newShell(t)
				payload := make([]byte, 5<<20)
				_, _ = rand.Read(payload)
				if err := os.WriteFile(filepath.Join(s.dir, "there"), payload, 0o600); err != nil {
					t.Fatal(err)
				}
				s.want(t, w.env, "cp", "there", "default/demo:kept")
				s.want(t, w.env, "cp", "default/demo:kept", "back")
				back, err := os.ReadFile(filepath.Join(s.dir, "back"))
				if err != nil || !bytes.Equal(back, payload) {
					t.Errorf("%d bytes came back of %d, or others: %v", len(back), len(payload), err)
				}
				s.switched(t, "exec", w.protocol, w.exec)
			})
			t.Run("attach", func(t *testing.T) { t.Parallel(); testKubectlAttach(t, w) })
			t.Run("port-forward", func(t *testing.T) { t.Parallel(); testKubectlForward(t, w) })
			t.Run("killed", func(t *testing.T) { t.Parallel(); testKubectlKilled(t, w) })
		})
	}
}

func testKubectlAttach(t *testing.T, w way) {
	s := newShell(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := s.command(ctx, w.env, "attach", "-i", "demo")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	lines := pipeLines(t, cmd)
	if _, err := io.WriteString(stdin, "hello\n"); err != nil {
		t.Fatal(err)
	}
	for lines() != "echo hello\n" {
	}
	for !strings.HasPrefix(lines(), "tick ") {
	}
	kill(t, cmd)
	s.switched(t, "attach", w.protocol, w.exec)
	s.quiet(t)
}

func testKubectlForward(t *testing.T, w way) {
	s := newShell(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := s.command(ctx, w.env, "port-forward", "--address=127.0.0.1", "pod/demo", ":8080")
	line := pipeLines(t, cmd)()
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
			t.Errorf("%q came back, %v", back, err)
		}
	}
	kill(t, cmd)
	s.switched(t, "portforward", w.protocol, w.forward)
	s.quiet(t)
}

// testKubectlKilled kills a client in the middle of a command that neither
// reads nor prints, so that nothing but the connection can tell.
func testKubectlKilled(t *testing.T, w way) {
	s := newShell(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := s.command(ctx, w.env, "exec", "demo", "--", "sh", "-c", "echo started; sleep 600")
	if line := pipeLines(t, cmd)(); line != "started\n" {
		t.Fatalf("%q", line)
	}
	if c, p := s.Connections(), s.Processes(); c != 1 || p != 1 {
		t.Errorf("%d connections and %d processes while it runs, want one of each", c, p)
	}
	kill(t, cmd)
	s.quiet(t)
	s.switched(t, "exec", w.protocol, w.exec)
}

// quiet waits until nothing runs any more, for at most 5 seconds.
func (l *lab) quiet(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for l.Connections() > 0 || l.Processes() > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections and %d processes are left", l.Connections(), l.Processes())
		}
		<-time.After(5 * time.Millisecond)
	}
}
