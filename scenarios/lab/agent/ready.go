package agent

import "sync"

// readiness closes done once enough descriptors were sent and the question of
// the configuration is settled.
type readiness struct {
	done chan struct{}

	mu          sync.Mutex
	descriptors int // still to be sent
	configured  bool
	closed      bool
}

func newReadiness(descriptors int) *readiness {
	return &readiness{done: make(chan struct{}), descriptors: descriptors}
}

func (r *readiness) descriptorSent() { r.update(func() { r.descriptors-- }) }

func (r *readiness) configurationSettled() { r.update(func() { r.configured = true }) }

func (r *readiness) update(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	if !r.closed && r.configured && r.descriptors <= 0 {
		r.closed = true
		close(r.done)
	}
}
