// Package inflight counts what is under way and waits for its end. It is not
// sync.WaitGroup because work may begin while somebody waits. Its law: Wait
// returns when at one moment nothing was under way.
package inflight

import (
	"context"
	"sync"
)

// Group counts. The zero value is ready.
type Group struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed and forgotten when n comes to 0
}

// Enter begins something; the function it returns is Leave.
func (g *Group) Enter() (leave func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n++
	return g.Leave
}

// Leave ends what Enter began.
func (g *Group) Leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n--
	if g.n == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// Wait waits until nothing is under way, or until ctx is done, and then
// returns its error.
func (g *Group) Wait(ctx context.Context) error {
	g.mu.Lock()
	if g.n == 0 {
		g.mu.Unlock()
		return nil
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	idle := g.idle
	g.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
