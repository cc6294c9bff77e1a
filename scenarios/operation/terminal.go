package operation

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/client-go/tools/remotecommand"
)

// askAgain is the pause before a terminal is asked for its size once more: a
// resize travels beside the input, not in it, so it may arrive later.
const askAgain = 20 * time.Millisecond

const terminalExitCode = 7

// terminalScript answers each line with the size of its terminal.
const terminalScript = `stty -echo
while read -r line; do
  case $line in end*) exit 7;; esac
  echo "size=$(stty size)"
done
exit 1`

// terminal runs a shell on a terminal, asks its size, changes it, sees the
// change, and ends the shell with an exit code.
func terminal(ctx context.Context, c *client) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stdin, typed := io.Pipe()
	shown, stdout := io.Pipe()
	sizes := make(sizeQueue, 1)
	sizes <- remotecommand.TerminalSize{Width: 101, Height: 43}

	type end struct {
		code int
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		code, err := c.exec(ctx, command{args: shell(terminalScript), stdin: stdin, stdout: stdout, tty: true, sizes: sizes})
		_ = stdin.CloseWithError(errEnded)
		_ = stdout.CloseWithError(errEnded)
		ended <- end{code, err}
	}()
	talk := func() error {
		lines := bufio.NewScanner(shown)
		if err := awaitSize(ctx, typed, lines, "43 101"); err != nil {
			return err
		}
		sizes <- remotecommand.TerminalSize{Width: 77, Height: 31}
		if err := awaitSize(ctx, typed, lines, "31 77"); err != nil {
			return fmt.Errorf("after the resize: %w", err)
		}
		_, err := io.WriteString(typed, "end\n")
		return err
	}
	err := talk()
	if err != nil {
		cancel()
	}
	go func() { _, _ = io.Copy(io.Discard, shown) }() // until stdout is closed
	result := <-ended
	close(sizes)
	switch {
	case result.err != nil && (err == nil || errors.Is(err, errEnded)):
		return result.err
	case err != nil:
		return err
	case result.code != terminalExitCode:
		return fmt.Errorf("exit code %d, not %d", result.code, terminalExitCode)
	}
	return nil
}

var errEnded = errors.New("the stream has ended")

// awaitSize asks until the terminal has the size, which is "rows columns".
func awaitSize(ctx context.Context, typed io.Writer, lines *bufio.Scanner, want string) error {
	last := "none"
	for {
		if _, err := io.WriteString(typed, "size\n"); err != nil {
			return fmt.Errorf("typing into the terminal, whose size was last %s: %w", last, err)
		}
		for lines.Scan() {
			_, size, ok := strings.Cut(lines.Text(), "size=")
			if !ok {
				continue // echoed input, from before stty
			}
			last = strings.TrimSpace(size)
			break
		}
		if err := lines.Err(); err != nil {
			return fmt.Errorf("reading from the terminal, whose size was last %s: %w", last, err)
		}
		if last == want {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the terminal's size is %s, not %s: %w", last, want, ctx.Err())
		case <-time.After(askAgain):
		}
	}
}

// sizeQueue is closed when there are no more sizes.
type sizeQueue chan remotecommand.TerminalSize

func (q sizeQueue) Next() *remotecommand.TerminalSize {
	size, ok := <-q
	if !ok {
		return nil
	}
	return &size
}
