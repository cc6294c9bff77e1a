package balancer

import (
	"context"
	"errors"
	"sync"
	"time"
)

var (
	errNoPeer = errors.New("no server is available")
	errFull   = errors.New("every server is full")
)

// Pool is peers that share the work, with their health and load. Build it
// with NewPool.
type Pool struct {
	Name    string
	balance Balance
	// oneBackup uses the first backup that is up, as HAProxy does, rather
	// than balancing over all of them.
	oneBackup bool

	mu      sync.Mutex
	peers   []*peer
	ring    []*peer          // the weighted map of Source and Ring
	at      int              // the turn of Ring
	rounds  map[bool]*rounds // of peers and of backups
	waiting []chan struct{}
	changes uint64 // of how many connections peers have
}

// peer is a Peer with what is known of it now.
type peer struct {
	*Peer
	up bool // by the active check

	conns    int
	changed  uint64 // when conns did last, in the pool's count
	place    place  // in HAProxy's round robin
	score    int    // smooth weighted round robin
	weight   int    // falls with failures and climbs back, as in nginx
	fails    int
	failedAt time.Time
	checked  time.Time
}

// NewPool builds a pool with every peer up.
func NewPool(name string, balance Balance, oneBackup bool, peers []*Peer) *Pool {
	p := &Pool{Name: name, balance: balance, oneBackup: oneBackup, rounds: map[bool]*rounds{false: {}, true: {}}}
	for _, spec := range peers {
		p.peers = append(p.peers, &peer{Peer: spec, up: true, weight: spec.Weight})
	}
	p.ring = weightedRing(p.peers)
	return p
}

// Peers is what the pool was built from.
func (p *Pool) Peers() []*Peer {
	out := make([]*Peer, len(p.peers))
	for i, s := range p.peers {
		out[i] = s.Peer
	}
	return out
}

// acquire picks a peer and counts a connection on it, waiting where all have
// as many as they may.
func (p *Pool) acquire(ctx context.Context, req pick, queue time.Duration) (*peer, error) {
	if queue > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, queue)
		defer cancel()
	}
	for {
		p.mu.Lock()
		s, err := p.choose(req, time.Now())
		if err == nil {
			p.count(s, 1)
			p.mu.Unlock()
			return s, nil
		}
		if !errors.Is(err, errFull) || req.noWait {
			p.mu.Unlock()
			return nil, err
		}
		turn := make(chan struct{})
		p.waiting = append(p.waiting, turn)
		p.mu.Unlock()
		select {
		case <-turn:
		case <-ctx.Done():
			p.giveUp(turn)
			return nil, context.Cause(ctx)
		}
	}
}

// retain counts one more connection on a peer that is tried again, whatever
// its limit: the client holds its place.
func (p *Pool) retain(s *peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count(s, 1)
}

// count changes how many connections a peer has; the caller holds p.mu.
func (p *Pool) count(s *peer, n int) {
	s.conns += n
	p.changes++
	s.changed = p.changes
}

// release gives a connection back and lets the next client in.
func (p *Pool) release(s *peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count(s, -1)
	p.wake()
}

func (p *Pool) wake() {
	if len(p.waiting) > 0 {
		close(p.waiting[0])
		p.waiting = p.waiting[1:]
	}
}

// giveUp leaves the queue; a turn that came at the same moment goes to the
// next one.
func (p *Pool) giveUp(turn chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, w := range p.waiting {
		if w == turn {
			p.waiting = append(p.waiting[:i:i], p.waiting[i+1:]...)
			return
		}
	}
	p.wake()
}

// failed counts a failed connection, and tells whether it took the peer out.
func (p *Pool) failed(s *peer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.MaxFails == 0 || len(p.peers) == 1 {
		return false // nginx keeps using a peer that is alone
	}
	s.fails++
	now := time.Now()
	s.failedAt, s.checked = now, now
	s.weight = max(s.weight-s.Weight/s.MaxFails, 0)
	return s.fails == s.MaxFails
}

// succeeded forgets failures, once the peer was tried again after them.
func (p *Pool) succeeded(s *peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.failedAt.Before(s.checked) {
		s.fails = 0
	}
}

// setUp is the active check's word.
func (p *Pool) setUp(s *peer, up bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.up = up
	if up {
		p.wake()
	}
}

// isUp tells whether s may get clients by its check.
func (p *Pool) isUp(s *peer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.up && !s.Down
}

// running counts the peers that are not backups and are up.
func (p *Pool) running() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, s := range p.peers {
		if s.up && !s.Down && !s.Backup {
			n++
		}
	}
	return n
}
