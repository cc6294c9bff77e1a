package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// process is a program of the cluster.
type process struct {
	cmd    *exec.Cmd
	name   string
	said   tail
	exited chan struct{}
	err    error // set before exited is closed
}

// ending is how long a program may take to end by itself.
const ending = 10 * time.Second

// start starts a program that dies with this process.
func start(cmd *exec.Cmd, dir string, log *slog.Logger) (*process, error) {
	p := &process{cmd: cmd, name: filepath.Base(cmd.Path), exited: make(chan struct{})}
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &p.said, &p.said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // Pdeathsig is about the thread that started it
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.name, err)
	}
	log.Debug("started", "program", p.name, "pid", cmd.Process.Pid)
	return p, nil
}

// answers waits until url is answered with 200.
func (p *process) answers(ctx context.Context, url string, transport http.RoundTripper) error {
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := client.Do(req); err == nil {
			if err := resp.Body.Close(); err != nil {
				return err
			}
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.exited:
			return fmt.Errorf("%s ended: %w: %s", p.name, p.err, p.said.String())
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer %s: %w: %s", p.name, url, ctx.Err(), p.said.String())
		case <-tick.C:
		}
	}
}

// end ends the program.
func (p *process) end() {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); errors.Is(err, syscall.ESRCH) {
		<-p.exited
		return
	}
	select {
	case <-p.exited:
	case <-time.After(ending):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// tail keeps the end of what a program says.
type tail struct {
	mu sync.Mutex
	b  []byte
}

// tailSize is enough for the last words of a program that fails.
const tailSize = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if len(t.b) > tailSize {
		t.b = t.b[len(t.b)-tailSize:]
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.b))
}
