package operation

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"time"
)

// Session is a command that stays open and echoes what it is told.
type Session struct {
	in    *io.PipeWriter
	out   *bufio.Reader
	ended chan error
	stop  context.CancelFunc
}

// echoLimit is how long an echo may take.
const echoLimit = 20 * time.Second

// Open starts a session and waits for its first word.
func Open(ctx context.Context, t Target, tr Transport) (*Session, error) {
	in, inWriter := io.Pipe()
	out, outWriter := io.Pipe()
	ctx, stop := context.WithCancel(ctx)
	s := &Session{in: inWriter, out: bufio.NewReader(out), ended: make(chan error, 1), stop: stop}
	go func() {
		err := upgraded(func(ctx context.Context, c *client) error {
			code, err := c.exec(ctx, command{args: shell(`while read -r x; do echo "$x"; done`), stdin: in, stdout: outWriter})
			if err == nil && code != 0 {
				err = fmt.Errorf("the session ended with exit code %d", code)
			}
			return err
		})(ctx, t, tr)
		// Whoever waits for an echo, or to be heard, is told.
		outWriter.CloseWithError(endOf(err))
		in.CloseWithError(endOf(err))
		s.ended <- err
	}()
	if err := s.Say("open"); err != nil {
		stop()
		<-s.ended
		return nil, err
	}
	return s, nil
}

func endOf(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

// Say sends a line and waits for it to come back.
func (s *Session) Say(line string) error {
	// A session that echoes nothing is at its end for good.
	limit := time.AfterFunc(echoLimit, s.stop)
	defer limit.Stop()
	if _, err := io.WriteString(s.in, line+"\n"); err != nil {
		return fmt.Errorf("the session is gone: %w", err)
	}
	got, err := s.out.ReadString('\n')
	if err != nil {
		return fmt.Errorf("the session is gone: %w", err)
	}
	if got != line+"\n" {
		return fmt.Errorf("the session said %q to %q", got, line)
	}
	return nil
}

// Close ends the session's input and returns how the command ended.
func (s *Session) Close() error {
	_ = s.in.Close() // a pipe's is nil
	limit := time.AfterFunc(echoLimit, s.stop)
	defer limit.Stop()
	defer s.stop()
	return <-s.ended
}
