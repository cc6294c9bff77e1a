//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"

	"github.com/creack/pty"
)

// atTerminal waits for the size of the person's terminal, reads what is typed,
// waits for another size, and ends with a code.
const atTerminal = `until [ "$(stty size)" = "40 123" ]; do sleep 0.05; done; echo first size
read typed; echo "read $typed"
until [ "$(stty size)" = "50 132" ]; do sleep 0.05; done; echo second size
exit 7`

// execTTY is a person at a terminal, who types and makes the window larger.
func execTTY(ctx context.Context, r *run) error {
	cmd := r.command(ctx, "exec", "-it", r.pod.name, "--", "sh", "-c", atTerminal)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	terminal, err := pty.StartWithAttrs(cmd, &pty.Winsize{Rows: 40, Cols: 123}, &syscall.SysProcAttr{Setsid: true, Setctty: true})
	if err != nil {
		return err
	}
	defer terminal.Close()
	defer context.AfterFunc(ctx, func() { terminal.Close() })()
	lines := bufio.NewReader(terminal)
	until := func(want string) error {
		for {
			line, err := lines.ReadString('\n')
			if strings.TrimRight(line, "\r\n") == want {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}
	talk := func() error {
		if err := until("first size"); err != nil {
			return err
		}
		if _, err := io.WriteString(terminal, "typed\n"); err != nil {
			return err
		}
		if err := until("read typed"); err != nil {
			return err
		}
		if err := pty.Setsize(terminal, &pty.Winsize{Rows: 50, Cols: 132}); err != nil {
			return err
		}
		return until("second size")
	}
	said := talk()
	if said == nil {
		_, _ = io.Copy(io.Discard, lines) // to its end, which Linux reports as an error
	}
	ended := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case said != nil:
		return fmt.Errorf("at the terminal: %w: %s", said, stderr.String())
	case !errors.As(ended, &exit) || exit.ExitCode() != 7:
		return fmt.Errorf("kubectl exec -t: %w: %s", ended, stderr.String())
	}
	return nil
}
