package balancer

import (
	"context"
	"net/netip"
)

// Lease is a place on a peer, for those who talk to it in their own way.
type Lease struct {
	pool *Pool
	peer *peer
}

// Lease picks a peer as nginx does and counts a connection on it. Peers that
// were tried are not picked again, and nobody waits for one that is full.
func (p *Pool) Lease(client netip.Addr, tried []*Lease) (*Lease, error) {
	req := pick{client: client, noWait: true}
	for _, l := range tried {
		req.tried = append(req.tried, l.peer)
	}
	s, err := p.acquire(context.Background(), req, 0)
	if err != nil {
		return nil, err
	}
	return &Lease{pool: p, peer: s}, nil
}

// Peer is whom the place is on.
func (l *Lease) Peer() *Peer { return l.peer.Peer }

// Failed counts a failure of the peer, Succeeded forgets earlier ones.
func (l *Lease) Failed()    { l.pool.failed(l.peer) }
func (l *Lease) Succeeded() { l.pool.succeeded(l.peer) }

// Release gives the place back.
func (l *Lease) Release() { l.pool.release(l.peer) }

// Size is how many peers the pool has, backups included.
func (p *Pool) Size() int { return len(p.peers) }
