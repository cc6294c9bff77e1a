package agent

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff is how long to wait after a failure: longer after each one, and from
// the start again after a time without one.
type backoff struct {
	initial, maximum, reset time.Duration
	factor, jitter          float64
	random                  func() float64 // in [0, 1)

	current time.Duration
	last    time.Time
}

// connectBackoff is agentk's after a failed Connect.
func connectBackoff() *backoff {
	return &backoff{
		initial: time.Second, maximum: 20 * time.Second, reset: 25 * time.Second,
		factor: 1.6, jitter: 0.2, random: rand.Float64,
	}
}

// serviceBackoff is agentk's after a failed Register or GetConfiguration.
func serviceBackoff() *backoff {
	return &backoff{
		initial: 10 * time.Second, maximum: 5 * time.Minute, reset: 10 * time.Minute,
		factor: 2, jitter: 1, random: rand.Float64,
	}
}

// next is the time to wait now: the current step and up to jitter of it more.
func (b *backoff) next(now time.Time) time.Duration {
	if b.current == 0 || now.Sub(b.last) > b.reset {
		b.current = b.initial
	}
	b.last = now
	d := b.current
	b.current = min(time.Duration(float64(b.current)*b.factor), b.maximum)
	return d + time.Duration(b.random()*b.jitter*float64(d))
}

// wait returns false if ctx is done first.
func (b *backoff) wait(ctx context.Context) bool { return sleep(ctx, b.next(time.Now())) }

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
