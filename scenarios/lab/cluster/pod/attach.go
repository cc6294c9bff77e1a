package pod

import (
	"bufio"
	"context"
	"fmt"
	"io"
)

// longestLine bounds a line of an attached client in bytes.
const longestLine = 1 << 20

// Attach connects a client to the main process: its lines are echoed, and
// everything printed from now on is sent, to this client and to every other.
// It returns nil when ctx ends or the pod does: a client leaves an attached
// stream in no other way.
func (p *Pod) Attach(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, leave, err := p.enter(ctx, 0)
	if err != nil {
		return err
	}
	defer leave()

	_, from := p.output.Lines()
	if in != nil {
		// Not waited for: it reads until the client or the connection ends.
		go func() {
			lines := bufio.NewScanner(in)
			lines.Buffer(nil, longestLine)
			for lines.Scan() {
				p.output.append("echo " + lines.Text())
			}
			drain(in)
		}()
	}
	for {
		lines, next, err := p.output.Next(ctx, from)
		if err != nil {
			return nil
		}
		from = next
		if out == nil {
			continue
		}
		for _, l := range lines {
			if _, err := io.WriteString(out, l.Text+"\n"); err != nil {
				return unlessEnded(ctx, fmt.Errorf("writing to the client: %w", err))
			}
		}
	}
}
