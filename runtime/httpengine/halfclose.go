package httpengine

import (
	"net"
	"os"
	"sync"
	"time"
)

// waits keeps the end of a client's direction from net/http, which takes it for
// the client's leaving, while a request is being answered: net/http reads a
// byte meanwhile, and ends that read by a deadline that has passed.
type waits struct {
	mu     sync.Mutex
	change *sync.Cond
	passed bool // the deadline of reads
	closed bool
}

func newWaits() *waits {
	w := &waits{}
	w.change = sync.NewCond(&w.mu)
	return w
}

// wait returns when the read is not wanted any more.
func (w *waits) wait() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.passed && !w.closed {
		w.change.Wait()
	}
	if w.closed {
		return net.ErrClosed
	}
	return os.ErrDeadlineExceeded
}

// deadline hears of a new one. Those to come are for reads of a next request,
// and wake nobody.
func (w *waits) deadline(t time.Time) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passed = !t.IsZero() && !t.After(time.Now())
	w.change.Broadcast()
}

func (w *waits) close() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.change.Broadcast()
}
