package pod

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"github.com/creack/pty"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

// execTerminal runs a command on a terminal of its own. Its session leader is
// the command, so that closing the terminal hangs up whatever the shell put
// into other process groups.
func (p *Pod) execTerminal(ctx context.Context, cmd *exec.Cmd, in io.Reader, out io.Writer, resize <-chan remotecommand.TerminalSize) error {
	terminal, err := pty.StartWithAttrs(cmd, &pty.Winsize{Rows: 24, Cols: 80},
		&syscall.SysProcAttr{Setsid: true, Setctty: true})
	if err != nil {
		return fmt.Errorf("starting the command on a terminal: %w", err)
	}
	defer func() { _ = terminal.Close() }() // read to its end by then

	done := make(chan struct{})
	var resizing sync.WaitGroup
	resizing.Go(func() { followSize(terminal, resize, done) })
	defer resizing.Wait()
	defer close(done)

	if in != nil {
		// Not waited for: it reads until the client or the connection ends.
		go func() {
			_, _ = io.Copy(terminal, in)
			drain(in)
		}()
	}
	var copies sync.WaitGroup
	copies.Go(func() {
		var to io.Writer = io.Discard
		if out != nil {
			to = out
		}
		// Linux ends a terminal without processes with EIO, not with EOF.
		if err := copyOutput(to, terminal); err != nil {
			drain(terminal)
		}
	})
	err = waitFor(ctx, cmd, []*os.File{terminal})
	copies.Wait()
	return exitCode(ctx, err)
}

func followSize(terminal *os.File, resize <-chan remotecommand.TerminalSize, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case size, ok := <-resize:
			if !ok {
				return
			}
			// A size that the terminal refuses is the client's loss alone.
			_ = pty.Setsize(terminal, &pty.Winsize{Rows: size.Height, Cols: size.Width})
		}
	}
}
