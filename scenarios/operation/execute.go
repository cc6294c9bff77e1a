package operation

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
)

// inputSize is what exec sends in bytes: many times the buffers of every
// proxy and kernel on the way, so that flow control is used both ways.
const inputSize = 3_000_000

// exitCode is the code that exec expects: none that a shell gives by itself.
const exitCode = 42

// execute sends random bytes through a command that sends them back, prints
// on standard error and ends with an exit code of its own.
func execute(ctx context.Context, c *client) error {
	input := make([]byte, inputSize)
	_, _ = rand.Read(input) // never fails
	got := &comparing{want: input}
	var stderr limited
	code, err := c.exec(ctx, command{
		args:  shell(`cat; echo "all sent" >&2; exit "$1"`, fmt.Sprint(exitCode)),
		stdin: bytes.NewReader(input), stdout: got, stderr: &stderr,
	})
	switch {
	case err != nil:
		return err
	case got.err() != nil:
		return fmt.Errorf("standard output: %w", got.err())
	case string(stderr.text) != "all sent\n":
		return fmt.Errorf("standard error is %q, not %q", stderr.text, "all sent\n")
	case code != exitCode:
		return fmt.Errorf("exit code %d, not %d", code, exitCode)
	}
	return nil
}

// comparing is a writer that checks what it is written against what is
// expected.
type comparing struct {
	want   []byte
	got    int
	differ bool
}

func (c *comparing) Write(b []byte) (int, error) {
	if rest := c.want[min(c.got, len(c.want)):]; !bytes.HasPrefix(rest, b) {
		c.differ = true
	}
	c.got += len(b)
	return len(b), nil
}

func (c *comparing) err() error {
	switch {
	case c.got != len(c.want):
		return fmt.Errorf("%d bytes arrived of %d", c.got, len(c.want))
	case c.differ:
		return fmt.Errorf("%d bytes arrived, and are not those that were sent", c.got)
	}
	return nil
}
