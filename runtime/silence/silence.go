// Package silence notices that nothing has happened for too long. It knows
// neither what should happen nor what is to follow. Its law: something that
// happens often costs a clock reading and no timer, and a watch that was
// stopped never speaks.
package silence

import (
	"sync"
	"sync/atomic"
	"time"
)

// Watch waits for a silence of a certain length. All methods of a nil Watch do
// nothing: no limit.
type Watch struct {
	limit  time.Duration
	expire func()
	probe  func() time.Duration
	begin  time.Time
	last   atomic.Int64 // nanoseconds since begin

	mu      sync.Mutex
	timer   *time.Timer
	running bool // the timer is
	paused  bool
	stopped bool
	expired bool
}

// New makes a watch that calls expire, once and on a goroutine of its own,
// after a silence of limit; nil if limit is 0. It sleeps until Start.
func New(limit time.Duration, expire func()) *Watch {
	if limit <= 0 {
		return nil
	}
	return &Watch{limit: limit, expire: expire, begin: time.Now(), paused: true}
}

// Probe makes the watch ask f, before it speaks, how long ago something
// happened that nobody touched it for. It is called before Start.
func (w *Watch) Probe(f func() time.Duration) {
	if w != nil {
		w.probe = f
	}
}

// Start begins a silence, after New or Pause.
func (w *Watch) Start() {
	if w == nil {
		return
	}
	w.Touch()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused = false
	if w.stopped || w.running {
		return
	}
	w.running = true
	if w.timer == nil {
		w.timer = time.AfterFunc(w.limit, w.check)
	} else {
		w.timer.Reset(w.limit)
	}
}

// Touch says that something happened.
func (w *Watch) Touch() {
	if w != nil {
		w.last.Store(int64(time.Since(w.begin)))
	}
}

// Pause allows silence until Start.
func (w *Watch) Pause() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.paused = true
}

// Stop ends the watch. It does not wait for an expire that has begun.
func (w *Watch) Stop() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// Expired tells whether the silence was too long.
func (w *Watch) Expired() bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.expired
}

func (w *Watch) check() {
	if w.spoke() {
		w.expire()
	}
}

func (w *Watch) spoke() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped || w.paused {
		w.running = false
		return false
	}
	still := time.Since(w.begin) - time.Duration(w.last.Load())
	if still >= w.limit && w.probe != nil {
		still = min(still, w.probe())
	}
	if still < w.limit {
		w.timer.Reset(w.limit - still)
		return false
	}
	w.running, w.stopped, w.expired = false, true, true
	return true
}
