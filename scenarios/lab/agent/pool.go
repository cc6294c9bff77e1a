package agent

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// agentk's pool of reverse tunnels.
const (
	minIdle        = 2
	growBy         = 10
	maxConnections = 500
	maxIdle        = time.Minute
)

// pool keeps enough Connect streams idle. Each of its connections opens one
// stream after the other.
type pool struct {
	log *slog.Logger
	// connect runs one stream to its end, and calls onActive when a request
	// takes it.
	connect func(ctx context.Context, onActive func()) error
	work    sync.WaitGroup

	mu          sync.Mutex
	idle, total int
}

func newPool(log *slog.Logger, connect func(context.Context, func()) error) *pool {
	return &pool{log: log, connect: connect}
}

// run returns when ctx is done and every stream has ended.
func (p *pool) run(ctx context.Context) {
	p.mu.Lock()
	p.start(ctx, minIdle)
	p.mu.Unlock()
	p.work.Wait()
}

// start adds up to n connections; the caller holds mu.
func (p *pool) start(ctx context.Context, n int) {
	for range min(n, maxConnections-p.total) {
		p.total++
		p.idle++
		p.work.Go(func() { p.keepConnected(ctx) })
	}
}

func (p *pool) keepConnected(ctx context.Context) {
	retry := connectBackoff()
	idleSince := time.Now()
	for ctx.Err() == nil {
		wasActive := false
		err := p.connect(ctx, func() {
			wasActive = true
			p.becameActive(ctx)
		})
		if wasActive {
			idleSince = time.Now()
			p.becameIdle()
		} else if p.stopSpare(idleSince) {
			return
		}
		switch code := status.Code(err); {
		case ctx.Err() != nil:
			return
		case code == codes.OK, code == codes.Canceled, code == codes.DeadlineExceeded:
			// An orderly end: open the next one at once.
		default:
			p.log.Error("reverse tunnel", slog.Any("error", err))
			if !retry.wait(ctx) {
				return
			}
		}
	}
}

func (p *pool) becameActive(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle--
	if p.idle < minIdle {
		p.start(ctx, growBy)
	}
}

func (p *pool) becameIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle++
}

// stopSpare gives a connection up whose stream ended unused, if there are
// enough others and it has been idle for long. Nothing ends an idle stream but
// kas, so spare ones outlive their minute until then.
func (p *pool) stopSpare(idleSince time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.idle <= minIdle || time.Since(idleSince) < maxIdle {
		return false
	}
	p.idle--
	p.total--
	return true
}
