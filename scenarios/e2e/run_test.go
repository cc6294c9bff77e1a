//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// pod is what kubectl is used on.
type pod struct {
	name string
	port int32 // echoes
}

// run is one use of kubectl through a topology.
type run struct {
	world     *world
	pod       pod
	client    client
	transport transport
	agent     string
	// id is what kubectl calls itself: its User-Agent begins with the name
	// that it was started by, so the API server tells each run from others.
	id  string
	dir string
}

func (r *run) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.client.path, append([]string{"--context", r.agent}, args...)...)
	cmd.Args[0] = r.id
	cmd.Dir, cmd.WaitDelay = r.dir, 5*time.Second
	cmd.Env = append([]string{"KUBECONFIG=" + r.world.kubeconfig, "HOME=" + r.client.home, "PATH=" + os.Getenv("PATH")}, r.transport.env...)
	return cmd
}

// output is what kubectl prints, and its exit code.
func (r *run) output(ctx context.Context, stdin string, args ...string) (stdout, stderr string, code int, err error) {
	cmd := r.command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		return "", "", 0, fmt.Errorf("kubectl %s: %w, %w: %s", args[0], err, ctx.Err(), errs.String())
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode(), nil
}

// ok is standard output of a kubectl that must succeed.
func (r *run) ok(ctx context.Context, args ...string) (string, error) {
	stdout, stderr, code, err := r.output(ctx, "", args...)
	if err == nil && code != 0 {
		err = fmt.Errorf("kubectl %s: exit code %d: %s", args[0], code, stderr)
	}
	return stdout, err
}

// talk is a kubectl that runs while somebody reads from it.
type talk struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser // stays open
	lines  *bufio.Reader
	read   int // lines
	stderr bytes.Buffer
}

// start starts a kubectl whose standard output is read. The caller must call
// kill.
func (r *run) start(ctx context.Context, args ...string) (_ *talk, err error) {
	t := &talk{cmd: r.command(ctx, args...)}
	t.cmd.Stderr = &t.stderr
	if t.stdin, err = t.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	t.lines = bufio.NewReader(out)
	return t, t.cmd.Start()
}

// line is the next line; where there is none, the error is what kubectl
// complained of.
func (t *talk) line() (string, error) {
	line, err := t.lines.ReadString('\n')
	if err != nil {
		t.kill()
		return "", fmt.Errorf("reading from kubectl: %w after %d lines and %q: %s", err, t.read, line, t.stderr.String())
	}
	t.read++
	return strings.TrimSuffix(line, "\n"), nil
}

// until reads lines up to one that is wanted.
func (t *talk) until(wanted func(string) bool) (string, error) {
	for {
		line, err := t.line()
		if err != nil || wanted(line) {
			return line, err
		}
	}
}

func (t *talk) kill() {
	_ = t.cmd.Process.Kill() // it may have ended
	_ = t.cmd.Wait()         // the error is that it was killed
}
