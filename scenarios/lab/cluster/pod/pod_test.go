package pod

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func startPod(t *testing.T) *Pod {
	t.Helper()
	dir := t.TempDir()
	p, err := Start(Options{Name: "demo", Dir: dir, Tick: 10 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("the pod left %v, %v", left, err)
		}
	})
	return p
}

func sh(script string) []string { return []string{"sh", "-c", script} }

func TestExec(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	for _, test := range []struct {
		name, script   string
		stdin          io.Reader
		tty            bool
		stdout, stderr string
		code           int
	}{
		{name: "output", script: "echo out; echo err >&2", stdout: "out\n", stderr: "err\n"},
		{name: "exit code", script: "exit 3", code: 3},
		{name: "signal", script: "kill -9 $$", code: 137},
		{name: "input", script: "cat", stdin: strings.NewReader("in"), stdout: "in"},
		{name: "input that nobody reads", script: "exec <&-; echo out", stdin: strings.NewReader(strings.Repeat("x", 1<<20)), stdout: "out\n"},
		{name: "no input", script: "cat; echo out", stdout: "out\n"},
		{name: "what is left in the background", script: "sleep 600 & echo out", stdout: "out\n"},
		{name: "environment", script: `echo "$HOSTNAME $(basename "$TMPDIR")"; test "$PWD" = "$HOME"`, stdout: "demo tmp\n"},
		{name: "terminal", script: "test -t 0 && test -t 1 && echo $TERM; exit 4", tty: true, stdout: "xterm\r\n", code: 4},
		{name: "background on a terminal", script: "sleep 600 & echo out", tty: true, stdout: "out\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			var stdout, stderr bytes.Buffer
			err := p.Exec(ctx, sh(test.script), test.stdin, &stdout, &stderr, test.tty, nil)
			code := 0
			var exit utilexec.ExitError
			if errors.As(err, &exit) {
				code = exit.ExitStatus()
			} else if err != nil {
				t.Fatal(err)
			}
			if code != test.code || stdout.String() != test.stdout || stderr.String() != test.stderr {
				t.Errorf("exit code %d, %q, %q; want %d, %q, %q", code, stdout.String(), stderr.String(), test.code, test.stdout, test.stderr)
			}
		})
	}
}

// slow is a client that takes longer over its first bytes than output is
// waited for after a command has ended.
type slow struct{ got int }

func (s *slow) Write(b []byte) (int, error) {
	if s.got == 0 {
		<-time.After(lastWords + lastWords/4)
	}
	s.got += len(b)
	return len(b), nil
}

func TestSlowClient(t *testing.T) {
	t.Parallel()
	const size = 60_000 // fits into a pipe, so that the command ends at once
	for _, tty := range []bool{false, true} {
		t.Run(strconv.FormatBool(tty), func(t *testing.T) {
			t.Parallel()
			p := startPod(t)
			size, out := size, &slow{}
			if tty {
				size = 1000 // a terminal holds less
			}
			if err := p.Exec(t.Context(), sh("head -c "+strconv.Itoa(size)+" /dev/zero"), nil, out, nil, tty, nil); err != nil {
				t.Fatal(err)
			}
			if out.got != size {
				t.Errorf("%d bytes arrived of %d", out.got, size)
			}
		})
	}
}

func TestExecFaults(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	var exit utilexec.ExitError
	for name, command := range map[string][]string{"nothing": nil, "no such program": {"kasgen-no-such-program"}, "a directory": {"/"}} {
		for _, tty := range []bool{false, true} {
			if err := p.Exec(t.Context(), command, strings.NewReader("x"), io.Discard, io.Discard, tty, nil); err == nil || errors.As(err, &exit) {
				t.Errorf("%s, terminal %t: %v", name, tty, err)
			}
		}
	}
	if n := p.Running(); n != 0 {
		t.Errorf("%d commands run", n)
	}
}

// TestExecEnds sees that a command, and what it has started, ends when its
// stream does: within a group, and in a session of its own when the pod ends.
func TestExecEnds(t *testing.T) {
	t.Parallel()
	for _, tty := range []bool{false, true} {
		t.Run(strconv.FormatBool(tty), func(t *testing.T) {
			t.Parallel()
			p := startPod(t)
			ctx, cancel := context.WithCancel(t.Context())
			r, w := io.Pipe()
			ended := make(chan error, 1)
			go func() {
				ended <- p.Exec(ctx, sh("sleep 600 & echo $$ $!; wait"), nil, w, nil, tty, nil)
				_ = w.Close()
			}()
			pids := readPIDs(t, r)
			if n := p.Running(); n != 1 {
				t.Errorf("%d commands run, want 1", n)
			}
			go func() { _, _ = io.Copy(io.Discard, r) }()
			cancel()
			select {
			case <-ended:
			case <-time.After(5 * time.Second):
				t.Fatal("the command did not end with its stream")
			}
			gone(t, pids)
		})
	}
}

func readPIDs(t *testing.T, r io.Reader) []int {
	t.Helper()
	buffer := make([]byte, 256)
	n, err := r.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, field := range strings.Fields(string(buffer[:n])) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// gone waits until processes have ended, zombies included: an orphan waits
// for init to take it.
func gone(t *testing.T, pids []int) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for _, pid := range pids {
		for alive(pid) {
			if time.Now().After(deadline) {
				t.Fatalf("process %d is left", pid)
			}
			<-time.After(time.Millisecond)
		}
	}
}

func alive(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

func TestCloseKillsDaemons(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("other processes' environment is not in files here:", err)
	}
	p, err := Start(Options{Name: "demo", Dir: t.TempDir(), Tick: time.Second, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := p.Exec(t.Context(), sh("setsid sleep 600 >/dev/null 2>&1 & sleep 0.1; echo $!"), nil, &out, nil, false, nil); err != nil {
		t.Fatal(err)
	}
	pids := readPIDs(t, &out)
	if !alive(pids[0]) {
		t.Fatal("the daemon did not outlive its group: the test shows nothing")
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	gone(t, pids)
}

func TestResize(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	resize := make(chan remotecommand.TerminalSize)
	in, typed := io.Pipe()
	shown, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- p.Exec(ctx, sh("stty -echo; while read -r x; do stty size; done"), in, out, nil, true, resize)
		_ = out.Close()
		_ = in.Close()
	}()
	lines := bufio.NewScanner(shown)
	for _, want := range []remotecommand.TerminalSize{{Width: 33, Height: 22}, {Width: 44, Height: 11}} {
		resize <- want // it is taken before it is set
		text := strconv.Itoa(int(want.Height)) + " " + strconv.Itoa(int(want.Width))
		for {
			if _, err := io.WriteString(typed, "\n"); err != nil || !lines.Scan() {
				t.Fatalf("the terminal did not become %s: %v, %v", text, err, lines.Err())
			}
			if strings.TrimSpace(lines.Text()) == text {
				break
			}
		}
	}
	go func() { _, _ = io.Copy(io.Discard, shown) }()
	cancel()
	<-ended
}

func TestClosedPod(t *testing.T) {
	t.Parallel()
	p, err := Start(Options{Name: "demo", Dir: t.TempDir(), Tick: time.Second, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Exec(t.Context(), sh("true"), nil, nil, nil, false, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("exec: %v", err)
	}
	if err := p.Attach(t.Context(), nil, io.Discard); !errors.Is(err, ErrClosed) {
		t.Errorf("attach: %v", err)
	}
	lines, next := p.Log().Lines()
	if len(lines) == 0 {
		t.Error("the log is gone")
	}
	if _, _, err := p.Log().Next(t.Context(), next); !errors.Is(err, io.EOF) {
		t.Errorf("the log's end: %v", err)
	}
}

func TestLogForgets(t *testing.T) {
	t.Parallel()
	l := newLog()
	for n := range 5 * kept {
		l.append(strconv.Itoa(n))
	}
	lines, next := l.Lines()
	if len(lines) < kept || len(lines) > 2*kept || next != 5*kept {
		t.Errorf("%d lines up to %d", len(lines), next)
	}
	got, after, err := l.Next(t.Context(), 0) // a reader that is far behind
	if err != nil || after != next || got[0] != lines[0] {
		t.Errorf("from the start: %d lines up to %d, %v", len(got), after, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := l.Next(ctx, next); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}
