package balancer

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// pick is what a choice depends on.
type pick struct {
	client netip.Addr
	tried  []*peer // not to be chosen again
	noWait bool    // fail rather than queue where all are full, as nginx does
}

// choose picks a peer; the caller holds p.mu. Backups serve only where no
// other peer can.
func (p *Pool) choose(req pick, now time.Time) (*peer, error) {
	usable := func(s *peer) bool {
		return s.up && !s.Down && s.Weight > 0 && !slices.Contains(req.tried, s) &&
			!(s.MaxFails > 0 && len(p.peers) > 1 && s.fails >= s.MaxFails && now.Sub(s.checked) <= s.FailTimeout)
	}
	full := false
	for _, backup := range []bool{false, true} {
		var able, free []*peer
		for _, s := range p.peers {
			if s.Backup != backup || !usable(s) {
				continue
			}
			able = append(able, s)
			if backup && p.oneBackup {
				break
			}
		}
		for _, s := range able {
			if s.MaxConn == 0 || s.conns < s.MaxConn {
				free = append(free, s)
			}
		}
		if len(free) == 0 {
			full = full || len(able) > 0
			if full && p.oneBackup {
				break // HAProxy queues rather than spill onto a backup
			}
			continue
		}
		s := p.among(free, able, req)
		if s == nil {
			return nil, errFull
		}
		if now.Sub(s.checked) > s.FailTimeout {
			s.checked = now
		}
		return s, nil
	}
	if full {
		return nil, errFull
	}
	return nil, errNoPeer
}

// among applies the pool's balance to the peers that have room; able are
// those that are up.
func (p *Pool) among(free, able []*peer, req pick) *peer {
	switch p.balance {
	case First:
		return free[0]
	case LeastConn:
		return roundRobin(leastLoaded(free))
	case LeastConnTurns:
		return slices.MinFunc(leastLoaded(free), func(a, b *peer) int { return cmp.Compare(a.changed, b.changed) })
	case Rounds:
		backup := free[0].Backup
		group := slices.DeleteFunc(slices.Clone(p.peers), func(s *peer) bool { return s.Backup != backup })
		if backup && p.oneBackup {
			group = able
		}
		return p.rounds[backup].next(group, free)
	case Ring:
		return p.byTurn(free, able)
	case Source:
		return p.bySource(able, req)
	case KeyHash:
		return p.byKey(free, req)
	default:
		return roundRobin(free)
	}
}

// roundRobin is nginx's, the smooth weighted one: each gains its weight, the highest
// is taken and pays the total.
func roundRobin(peers []*peer) *peer {
	var best *peer
	total := 0
	for _, s := range peers {
		if s.weight < s.Weight {
			s.weight++
		}
		s.score += s.weight
		total += s.weight
		if best == nil || s.score > best.score {
			best = s
		}
	}
	best.score -= total
	return best
}

func leastLoaded(peers []*peer) []*peer {
	var least []*peer
	for _, s := range peers {
		if len(least) > 0 {
			switch a, b := s.conns*least[0].Weight, least[0].conns*s.Weight; {
			case a > b:
				continue
			case a < b:
				least = least[:0]
			}
		}
		least = append(least, s)
	}
	return least
}

// weightedRing lays the peers out by weight as HAProxy does: each gains its
// weight, and the first of those whose gains fill the most rings is laid down
// and pays for one.
func weightedRing(peers []*peer) []*peer {
	total := 0
	for _, s := range peers {
		total += s.Weight
	}
	gains := make([]int, len(peers))
	ring := make([]*peer, 0, total)
	for range total {
		best, most := 0, -1
		for i, s := range peers {
			gains[i] += s.Weight
			if filled := (gains[i] + total) / total; filled > most {
				best, most = i, filled
			}
		}
		gains[best] -= total
		ring = append(ring, peers[best])
	}
	return ring
}

// ringOf is the ring of those that are up.
func (p *Pool) ringOf(able []*peer) []*peer {
	if len(able) == len(p.peers) {
		return p.ring
	}
	return weightedRing(able)
}

// byTurn goes around the ring, past those that are full.
func (p *Pool) byTurn(free, able []*peer) *peer {
	ring := p.ringOf(able)
	for range ring {
		s := ring[p.at%len(ring)]
		p.at = (p.at + 1) % len(ring)
		if slices.Contains(free, s) {
			return s
		}
	}
	return free[0]
}

// bySource is HAProxy's map-based hash: the address as 32-bit words, xored,
// over the ring of those that are up. Nil means that the peer is full: a
// client waits for its own.
func (p *Pool) bySource(able []*peer, req pick) *peer {
	ring := p.ringOf(able)
	var h uint32
	a := req.client.Unmap().AsSlice()
	for ; len(a) >= 4; a = a[4:] {
		h ^= binary.BigEndian.Uint32(a)
	}
	s := ring[h%uint32(len(ring))]
	if s.MaxConn > 0 && s.conns >= s.MaxConn {
		return nil
	}
	return s
}

// maxRehash is how often nginx hashes again before it takes any peer.
const maxRehash = 20

// byKey is nginx's `hash` without `consistent`, key $remote_addr.
func (p *Pool) byKey(free []*peer, req pick) *peer {
	var primary []*peer
	total := uint32(0)
	for _, s := range p.peers {
		if !s.Backup {
			primary = append(primary, s)
			total += uint32(s.Weight)
		}
	}
	key := req.client.Unmap().String()
	var sum uint32
	for n := 0; n <= maxRehash && total > 0; n++ {
		text := key
		if n > 0 {
			text = strconv.Itoa(n) + key
		}
		sum += crc32.ChecksumIEEE([]byte(text)) >> 16 & 0x7fff
		w := sum % total
		for _, s := range primary {
			if w < uint32(s.Weight) {
				if slices.Contains(free, s) {
					return s
				}
				break
			}
			w -= uint32(s.Weight)
		}
	}
	return roundRobin(free)
}
