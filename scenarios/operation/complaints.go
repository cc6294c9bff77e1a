package operation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// mostComplaints of one run are kept: the first ones say what happened.
const mostComplaints = 3

// complaints are what Kubernetes' library logs as an error and does not
// return: why a port could not be forwarded is among them. They belong to the
// error of the run, and not on somebody's terminal.
type complaints struct {
	mu   sync.Mutex
	said []string
}

// listen returns a context under which the library complains here.
func (c *complaints) listen(ctx context.Context) context.Context {
	return klog.NewContext(ctx, logr.FromSlogHandler(c))
}

func (c *complaints) add(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if text = strings.TrimSpace(text); text != "" && len(c.said) < mostComplaints && !slices.Contains(c.said, text) {
		c.said = append(c.said, text)
	}
}

// with adds what was said to an error.
func (c *complaints) with(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil || len(c.said) == 0 {
		return err
	}
	return fmt.Errorf("%w (%w)", err, errors.New(strings.Join(c.said, "; ")))
}

// Write takes complaints that come as text.
func (c *complaints) Write(b []byte) (int, error) {
	c.add(string(b))
	return len(b), nil
}

// Enabled and the others make it a slog.Handler.
func (c *complaints) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelError
}

func (c *complaints) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "err" {
			text += ": " + a.Value.String()
		}
		return true
	})
	c.add(text)
	return nil
}

func (c *complaints) WithAttrs([]slog.Attr) slog.Handler { return c }
func (c *complaints) WithGroup(string) slog.Handler      { return c }
