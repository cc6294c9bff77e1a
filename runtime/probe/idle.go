package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// idleCheck opens streams of one kind and leaves them silent.
type idleCheck struct {
	what string
	// open starts a silent stream. Its first channel is closed when the
	// stream has been cut; say speaks on it and tells whether anybody answers.
	open func(ctx context.Context) (*silent, error)
}

// silent is a stream on which nobody speaks.
type silent struct {
	cut <-chan struct{}
	say func() error
	end func()
}

// coarse is how exact a limit is found: a twentieth of it, and a second.
const coarse = 20

// run finds how long a stream lives, up to most. A cut that can be seen is
// measured; one that only shows when somebody speaks is found by bisection.
func (i idleCheck) run(ctx context.Context, most time.Duration) Check {
	good, bad := time.Duration(0), time.Duration(0) // bad 0: none yet
	try := most
	for {
		lived, alive, err := i.once(ctx, try)
		if err != nil {
			return skipped("%s could not be opened: %v", i.what, err)
		}
		if ctx.Err() != nil {
			return skipped("there was no time to measure %s to the end; it lived for %v", i.what, good)
		}
		switch {
		case alive && try == most:
			return passed("%s lives through %v of silence", i.what, most)
		case alive:
			good = try
		case lived < try: // seen
			return cutAfter(i.what, lived.Round(100*time.Millisecond), "")
		default:
			bad = try
		}
		if bad-good <= max(time.Second, bad/coarse) {
			return cutAfter(i.what, bad, fmt.Sprintf(" (and more than %v), without a word", good))
		}
		try = (good + bad) / 2
	}
}

// once is silent for d, or until the stream is cut, and then speaks.
func (i idleCheck) once(ctx context.Context, d time.Duration) (lived time.Duration, alive bool, err error) {
	s, err := i.open(ctx)
	if err != nil {
		return 0, false, err
	}
	defer s.end()
	began := time.Now()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return d, s.say() == nil, nil
	case <-s.cut:
		return time.Since(began), false, nil
	case <-ctx.Done():
		return time.Since(began), false, nil
	}
}

func cutAfter(what string, d time.Duration, more string) Check {
	near := nearest(d)
	if near != "" {
		near = "; " + near
	}
	c := failed(codeIdle, fmt.Sprintf("%s is cut after %v of silence%s%s", what, d, more, near),
		"kubectl exec may be silent as long as a person thinks, a watch until something happens; agents ping each minute, which is too seldom for a limit below that",
		"raise the limit over an hour (proxy_read_timeout, proxy_send_timeout, grpc_read_timeout, client_body_timeout in nginx; timeout client, server and tunnel in HAProxy; the backend's timeout in a cloud's balancer)")
	c.limit = d
	return c
}

// checkIdleWebSocket is silent as an agent that has not begun to speak gRPC:
// kas itself ends that after two minutes.
func (e *endpoint) checkIdleWebSocket(ctx context.Context) Check {
	return idleCheck{"an agent's WebSocket", func(ctx context.Context) (*silent, error) {
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

var errNoAnswer = errors.New("no answer")

func waitFor(answered, cut <-chan struct{}, limit time.Duration) error {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-answered:
		return nil
	case <-cut:
		return io.ErrUnexpectedEOF
	case <-t.C:
		return errNoAnswer
	}
}

// checkIdleGRPC opens a call and keeps its message back. That is as far as one
// gets without an agent's token: limits that begin with kas's answer, such as
// nginx's grpc_read_timeout, are not met.
func (e *endpoint) checkIdleGRPC(ctx context.Context) Check {
	return idleCheck{"a gRPC stream with an open request", func(ctx context.Context) (*silent, error) {
		ctx, cancel := context.WithCancel(ctx)
		pr, pw := io.Pipe()
		cut := make(chan struct{})
		var r reply
		go func() {
			defer close(cut)
			r = e.call(ctx, []string{"h2"}, pr)
			closeQuietly(pr)
		}()
		return &silent{cut: cut, end: func() { cancel(); closeQuietly(pw); <-cut }, say: func() error {
			_, err := pw.Write(make([]byte, 5)) // an empty message
			if err := errors.Join(err, pw.Close()); err != nil {
				return err
			}
			if err := waitFor(cut, nil, e.s.o.Timeout); err != nil {
				return err
			}
			if !r.kas() {
				return errNoAnswer
			}
			return nil
		}}, nil
	}}.run(ctx, e.s.o.Idle)
}

// checkIdleUpgrade runs `cat` in the pod and says nothing to it.
func (e *endpoint) checkIdleUpgrade(ctx context.Context) Check {
	if e.s.o.Token == "" || e.s.o.Pod == "" || !e.trusted {
		return skipped("needs --token-file and --pod")
	}
	return idleCheck{"an upgraded stream (exec over WebSocket)", func(ctx context.Context) (*silent, error) {
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
