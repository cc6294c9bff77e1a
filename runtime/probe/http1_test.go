package probe

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// closing is a connection whose writes go nowhere until it is closed, and whose
// reads end with err, or with the close if there is none.
type closing struct {
	net.Conn
	err    error
	closed chan struct{}
	once   sync.Once
}

func (c *closing) Read([]byte) (int, error) {
	if c.err == nil {
		<-c.closed
		return 0, net.ErrClosed
	}
	return 0, c.err
}

func (c *closing) Write([]byte) (int, error)   { <-c.closed; return 0, net.ErrClosed }
func (c *closing) SetDeadline(time.Time) error { return nil }
func (c *closing) Close() error                { c.once.Do(func() { close(c.closed) }); return nil }

// TestEnded: what is told of a connection is why it ended, not that the probe
// closed it for that.
func TestEnded(t *testing.T) {
	t.Parallel()
	e := newSession(Options{KAS: &url.URL{Scheme: "https", Host: labName}, Timeout: time.Minute}).kas
	why := errors.New("time is up")
	over, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	for name, tt := range map[string]struct {
		ctx       context.Context
		err, want error
	}{
		"by the other side": {t.Context(), io.EOF, io.EOF},
		"by the time":       {over, nil, why},
	} {
		if _, _, err := e.send(tt.ctx, &closing{err: tt.err, closed: make(chan struct{})}, request{method: "GET", path: "/"}); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}
