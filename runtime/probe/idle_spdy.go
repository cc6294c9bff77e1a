package probe

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/moby/spdystream/spdy"
)

// Streams of exec over SPDY, as clients number them.
const (
	spdyErrors = 1
	spdyStdin  = 3
	spdyStdout = 5
)

// checkIdleExecSPDY runs `cat` in the pod and says nothing to it.
func (e *endpoint) checkIdleExecSPDY(ctx context.Context) Check {
	if e.s.o.Token == "" || e.s.o.Pod == "" || !e.trusted {
		return skipped(needsPod)
	}
	return idleCheck{what: "exec over SPDY", open: func(ctx context.Context, _ time.Duration) (*silent, error) {
		a, s, err := e.open(ctx, request{method: http.MethodPost, path: e.execPath("command=cat&stdin=true&stdout=true"), header: spdyHeader(spdyUpgrade.exec), token: true})
		if err != nil {
			return nil, err
		}
		if s == nil {
			if c, _ := spdyUpgrade.refused("", a); c.Code == codeSPDY {
				return nil, errors.New("SPDY is refused here")
			}
			return nil, errors.New(a.String())
		}
		return e.spdySilence(s)
	}}.run(ctx, e.s.o.Idle)
}

// spdySilence opens the streams of exec and reads frames. Who is pinged
// answers; a server that pings keeps its streams alive, here as for kubectl.
func (e *endpoint) spdySilence(s *stream) (*silent, error) {
	f, err := spdy.NewFramer(s, s)
	if err != nil {
		s.Close()
		return nil, err
	}
	var writing sync.Mutex
	write := func(frame spdy.Frame) error {
		writing.Lock()
		defer writing.Unlock()
		return f.WriteFrame(frame)
	}
	for _, of := range []struct {
		id   spdy.StreamId // in rising order
		kind string
	}{{spdyErrors, "error"}, {spdyStdin, "stdin"}, {spdyStdout, "stdout"}} {
		if err := write(&spdy.SynStreamFrame{StreamId: of.id, Headers: http.Header{"Streamtype": {of.kind}}}); err != nil {
			s.Close()
			return nil, err
		}
	}
	cut, answered := make(chan struct{}), make(chan struct{}, 1)
	go func() {
		defer close(cut)
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			switch frame := frame.(type) {
			case *spdy.PingFrame:
				if write(frame) != nil {
					return
				}
			case *spdy.GoAwayFrame, *spdy.RstStreamFrame:
				return
			case *spdy.DataFrame:
				if frame.StreamId == spdyStdout && len(frame.Data) > 0 {
					select {
					case answered <- struct{}{}:
					default:
					}
				}
			}
		}
	}()
	return &silent{cut: cut, end: func() { s.Close(); <-cut }, say: func() error {
		if err := write(&spdy.DataFrame{StreamId: spdyStdin, Data: []byte("?\n")}); err != nil {
			return err
		}
		return waitFor(answered, cut, e.s.o.Timeout)
	}}, nil
}
