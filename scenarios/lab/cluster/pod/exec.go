package pod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// lastWords is how long output may stay away after a command has ended before
// reading it stops: a daemon that keeps the pipe open must not hold the exec.
// A client that is slow to take what is there has all the time it wants.
const lastWords = 2 * time.Second

// Exec runs a command until it ends or ctx does; then its whole process group
// is killed. A command that ends otherwise than with 0 is a
// utilexec.CodeExitError, 128 and the signal's number for one that was
// killed, as a shell counts.
func (p *Pod) Exec(ctx context.Context, command []string, in io.Reader, out, stderr io.Writer, tty bool, resize <-chan remotecommand.TerminalSize) error {
	if len(command) == 0 {
		return errors.New("no command given")
	}
	ctx, leave, err := p.enter(ctx, 1)
	if err != nil {
		return err
	}
	defer leave()

	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = p.scratch
	cmd.Env = p.environment(tty)
	if tty {
		return p.execTerminal(ctx, cmd, in, out, resize)
	}
	return p.execPipes(ctx, cmd, in, out, stderr)
}

// environment is short on purpose: what the lab's own environment holds may
// be secret, and a container would not have it either.
func (p *Pod) environment(tty bool) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + p.scratch,
		"TMPDIR=" + filepath.Join(p.scratch, "tmp"),
		"HOSTNAME=" + p.name,
		p.mark,
	}
	if tty {
		env = append(env, "TERM=xterm")
	}
	return env
}

func (p *Pod) execPipes(ctx context.Context, cmd *exec.Cmd, in io.Reader, out, stderr io.Writer) error {
	// A group of its own, so that what the command starts ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}

	// The command gets pipes, never the streams: os/exec would otherwise wait
	// for standard input to end, and a client ends it only after the exit code.
	var theirs, ours []*os.File
	defer func() { closeAll(ours) }()
	pipe := func() (r, w *os.File, err error) {
		if r, w, err = os.Pipe(); err != nil {
			return nil, nil, fmt.Errorf("making a pipe: %w", err)
		}
		return r, w, nil
	}

	var stdin *os.File
	if in != nil {
		r, w, err := pipe()
		if err != nil {
			return err
		}
		cmd.Stdin, stdin = r, w
		theirs = append(theirs, r)
	}
	type output struct {
		from *os.File
		to   io.Writer
	}
	var outputs []output
	for _, o := range []struct {
		to  io.Writer
		set *io.Writer
	}{{out, &cmd.Stdout}, {stderr, &cmd.Stderr}} {
		if o.to == nil {
			continue
		}
		r, w, err := pipe()
		if err != nil {
			closeAll(theirs)
			closeAll([]*os.File{stdin})
			return err
		}
		*o.set = w
		theirs, ours = append(theirs, w), append(ours, r)
		outputs = append(outputs, output{r, o.to})
	}

	err := cmd.Start()
	closeAll(theirs)
	if err != nil {
		closeAll([]*os.File{stdin})
		return fmt.Errorf("starting the command: %w", err)
	}
	if in != nil {
		// Not waited for: it reads until the client or the connection ends.
		go func() {
			_, _ = io.Copy(stdin, in)
			_ = stdin.Close()
			drain(in)
		}()
	}
	var copies sync.WaitGroup
	for _, o := range outputs {
		copies.Go(func() {
			if err := copyOutput(o.to, o.from); err != nil {
				drain(o.from) // the command must not block on a client that left
			}
		})
	}
	err = waitFor(ctx, cmd, ours)
	copies.Wait()
	return exitCode(ctx, err)
}

// waitFor waits for the command, or kills it when ctx ends; then it kills the
// rest of the group and leaves the outputs a last moment.
func waitFor(ctx context.Context, cmd *exec.Cmd, outputs []*os.File) error {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		killGroup(cmd.Process.Pid)
		err = <-ended
	}
	// As long as anything of the group lives, its number is not given away.
	killGroup(cmd.Process.Pid)
	for _, f := range outputs {
		_ = f.SetReadDeadline(time.Now().Add(lastWords))
	}
	return err
}

// copyOutput copies until the output ends, or until nothing has come within a
// deadline: waitFor sets the first one when the command has ended. One that
// passes while the client takes its time is set anew, since what lies in the
// pipe then still counts.
func copyOutput(to io.Writer, from *os.File) error {
	buf := make([]byte, 32<<10)
	for came := false; ; {
		n, err := from.Read(buf)
		if n > 0 {
			came = true
			if _, err := to.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded) && came:
			came = false
			if err := from.SetReadDeadline(time.Now().Add(lastWords)); err != nil {
				return err
			}
		case err != nil:
			return err
		}
	}
}

func exitCode(ctx context.Context, err error) error {
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		// The client has gone, and the command with it. Nobody hears this;
		// but an error of another kind would be logged as a fault.
		return codeExit(128 + int(syscall.SIGKILL))
	case err == nil:
		return nil
	case !errors.As(err, &exit):
		return fmt.Errorf("waiting for the command: %w", err)
	}
	code := exit.ExitCode()
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = 128 + int(status.Signal())
	}
	return codeExit(code)
}

func codeExit(code int) error {
	return utilexec.CodeExitError{Err: fmt.Errorf("command ended with exit code %d", code), Code: code}
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}
