package probe

import (
	"context"
	"errors"
	"time"
)

// checkIdleWebSocket is silent as an agent that has not begun to speak gRPC:
// kas itself ends that after two minutes.
func (e *endpoint) checkIdleWebSocket(ctx context.Context) Check {
	return idleCheck{what: "an agent's WebSocket", open: func(ctx context.Context, _ time.Duration) (*silent, error) {
		a, s, err := e.openAgent(ctx)
		if err != nil {
			return nil, err
		}
		if s == nil {
			return nil, errors.New(a.String())
		}
		return e.webSocketSilence(s, func() error { return writeFrame(s, opPing, []byte("?")) }, opPong), nil
	}}.run(ctx, min(e.s.o.Idle, handshakeOfKAS))
}

// handshakeOfKAS is less than what kas gives an agent for its first words
// (grpc-go's 120 s): longer silence would measure kas.
const handshakeOfKAS = 110 * time.Second

// webSocketSilence reads frames; anything but the wanted answer is no end.
func (e *endpoint) webSocketSilence(s *stream, speak func() error, want byte) *silent {
	cut, answered := make(chan struct{}), make(chan struct{}, 1)
	go func() {
		defer close(cut)
		for {
			op, _, err := readFrame(s)
			if err != nil || op == opClose {
				return
			}
			if op == want {
				select {
				case answered <- struct{}{}:
				default:
				}
			}
		}
	}()
	return &silent{cut: cut, end: func() { s.Close(); <-cut }, say: func() error {
		select {
		case <-answered: // said before we asked
		default:
		}
		if err := speak(); err != nil {
			return err
		}
		return waitFor(answered, cut, e.s.o.Timeout)
	}}
}

// checkIdleExecWS runs `cat` in the pod and says nothing to it.
func (e *endpoint) checkIdleExecWS(ctx context.Context) Check {
	if e.s.o.Token == "" || e.s.o.Pod == "" || !e.trusted {
		return skipped(needsPod)
	}
	return idleCheck{what: "exec over WebSocket", open: func(ctx context.Context, _ time.Duration) (*silent, error) {
		a, s, err := e.open(ctx, request{method: "GET", path: e.execPath("command=cat&stdin=true&stdout=true"), header: webSocketHeader(webSocketUpgrade.exec), token: true})
		if err != nil {
			return nil, err
		}
		if s == nil {
			return nil, errors.New(a.String())
		}
		// Channel 0 is standard input; cat gives it back.
		return e.webSocketSilence(s, func() error { return writeFrame(s, opBinary, []byte("\x00?\n")) }, opBinary), nil
	}}.run(ctx, e.s.o.Idle)
}
