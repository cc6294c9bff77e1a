package operation

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// followedLines is how many new lines are waited for.
const followedLines = 3

// followLogs follows the log from its end and waits for new lines. They must
// arrive about as far apart as they were printed: a log that is held back and
// sent in one piece does not pass. Then it leaves.
func followLogs(ctx context.Context, c *client) error {
	following, leave := context.WithCancel(ctx)
	defer leave()
	none := int64(0)
	body, err := c.rest.Get().Namespace(c.Namespace).Resource("pods").Name(c.Pod).SubResource("log").
		VersionedParams(&corev1.PodLogOptions{Container: c.Container, Follow: true, Timestamps: true, TailLines: &none}, c.parameters).
		Stream(following)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	defer body.Close()

	var printed, arrived [2]time.Time // the first line and the last
	lines := bufio.NewReader(body)
	for n := range followedLines {
		line, err := lines.ReadString('\n')
		if err != nil {
			return fmt.Errorf("waiting for line %d of the log: %w", n+1, errors.Join(err, ctx.Err()))
		}
		stamp, _, _ := strings.Cut(line, " ")
		when, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			return fmt.Errorf("line %d of the log: %w", n+1, err)
		}
		if n == 0 {
			printed[0], arrived[0] = when, time.Now()
		}
		printed[1], arrived[1] = when, time.Now()
	}
	// Half, because the first line may have waited for the head of the answer.
	if spread, seen := printed[1].Sub(printed[0]), arrived[1].Sub(arrived[0]); seen < spread/2 {
		return fmt.Errorf("%d lines printed over %s arrived within %s: the log is held back on its way", followedLines, spread, seen)
	}
	leave()
	return awaitEnd(body)
}

// awaitEnd sees that a stream ends once it has been given up.
func awaitEnd(body io.ReadCloser) error {
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, body)
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-time.After(closing):
		return fmt.Errorf("the log went on for %s after it was given up", closing)
	}
}
