// Package program runs the programs of a cluster, each for as long as its owner
// wants. It knows none of them. Its law: none outlives the process that started
// it, and one that fails is named with its last words.
package program

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

// Program is one that was started.
type Program struct {
	cmd    *exec.Cmd
	name   string
	said   tail
	exited chan struct{}
	err    error // set before exited is closed
}

// ending is how long a program may take to end by itself.
const ending = 10 * time.Second

// Start starts a program that dies with this process.
func Start(cmd *exec.Cmd, dir string, log *slog.Logger) (*Program, error) {
	p := &Program{cmd: cmd, name: filepath.Base(cmd.Path), exited: make(chan struct{})}
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

// Answers waits until url is answered with 200.
func (p *Program) Answers(ctx context.Context, url string, transport http.RoundTripper) error {
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
		if err := p.Running(); err != nil {
			return err
		}
		select {
		case <-p.exited:
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer %s: %w: %s", p.name, url, ctx.Err(), p.Said())
		case <-tick.C:
		}
	}
}

// Running is nil while the program runs; then it says how it ended.
func (p *Program) Running() error {
	select {
	case <-p.exited:
		return fmt.Errorf("%s ended: %w: %s", p.name, p.err, p.Said())
	default:
		return nil
	}
}

// Said is the end of what the program has printed.
func (p *Program) Said() string { return p.said.String() }

// End ends the program, and waits until it has ended.
func (p *Program) End() {
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
