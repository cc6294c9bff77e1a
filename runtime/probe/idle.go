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
	what  string
	whole bool // silence can be asked for in whole seconds only
	// open starts a stream that is to be silent for d.
	open func(ctx context.Context, d time.Duration) (*silent, error)
}

// silent is a stream on which nobody speaks.
type silent struct {
	cut  <-chan struct{} // closed when the stream has been cut
	over <-chan struct{} // closed when the other end has ended it in order; nil: it does not
	say  func() error    // speaks, and tells whether anybody answers
	end  func()
}

// refusal is an answer that says that the credentials are of no use.
type refusal struct{ Check }

func (r refusal) Error() string { return r.Observed }

// coarse is how exact a limit is found: a twentieth of it, and a second.
const coarse = 20

// run finds how long a stream lives, up to most. A cut that can be seen is
// measured; one that only shows when somebody speaks is found by bisection.
func (i idleCheck) run(ctx context.Context, most time.Duration) Check {
	good, bad := time.Duration(0), time.Duration(0) // bad 0: none yet
	try := most
	for {
		if i.whole {
			try = (try + time.Second - 1).Truncate(time.Second)
		}
		lived, alive, err := i.once(ctx, try)
		var refused refusal
		if errors.As(err, &refused) {
			return refused.Check
		}
		if err != nil {
			return skipped("%s could not be opened: %v", i.what, err)
		}
		if ctx.Err() != nil {
			return skipped("there was no time to measure %s to the end; it lived for %v", i.what, good)
		}
		switch {
		case alive && lived < try:
			return passed("%s lives through %v of silence, until the other end closes it in order", i.what, lived.Round(100*time.Millisecond))
		case alive && try >= most:
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
	s, err := i.open(ctx, d)
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
	case <-s.over:
		return time.Since(began), true, nil
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
