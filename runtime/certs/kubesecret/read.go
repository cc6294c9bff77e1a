package kubesecret

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reading is one read of the Secret and whoever waits for it.
type reading struct {
	done chan struct{}
	data map[string][]byte
	err  error
}

// read gives the Secret as it was at a moment after the call. Anybody on the
// internet can make an ACME source look up an answer, by a handshake or a
// request, and must not be able to make it ask the API server as often. So one
// read is under way at a time, with a pause before the next, and who comes in
// between shares that next one: what has been read before a call may be older
// than an answer that another replica has just put there.
func (c *Cache) read(ctx context.Context) (map[string][]byte, error) {
	c.mu.Lock()
	r := c.next
	if r == nil {
		r = &reading{done: make(chan struct{})}
		c.next = r
		go c.fetch(r)
	}
	c.mu.Unlock()
	select {
	case <-r.done:
		return r.data, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *Cache) fetch(r *reading) {
	defer close(r.done)
	c.turn.Lock()
	defer c.turn.Unlock()
	pause := time.NewTimer(c.o.Pause - time.Since(c.last))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-c.ctx.Done():
	}
	c.mu.Lock()
	c.next = nil
	c.mu.Unlock()
	c.last = time.Now()
	ctx, cancel := context.WithTimeout(c.ctx, answering)
	defer cancel()
	secret, err := c.secrets.Get(ctx, c.o.Secret, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err): // every entry is a miss
	case err != nil:
		r.err = c.about("reading", err)
	default:
		r.data = secret.Data
	}
}
