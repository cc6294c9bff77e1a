package balancer

import "cmp"

// rounds gives peers their turns in HAProxy's order. A round has as many turns
// as the weights add up to, and a peer is due again after total/weight of them.
// It comes in with its first turn: the heaviest that waits does, whenever nobody
// is due. Who would be due only after the round's end waits for the next round.
type rounds struct {
	turns int // of this round; 0 before the first
	turn  int // how many have been given
	joins int // how often a peer was given its place, to tell who came first
}

// place is where a peer stands in its round.
type place struct {
	absent bool // it is down; when it is back, it waits for the next round
	in     bool // it has had a turn in this round, and will have another
	due    int  // the turn
	rest   int  // what is left of the division, in parts of the weight
	since  int  // the count of joins with which it came here
}

// next takes the next of those that are free; group is all that are meant to
// share the work.
func (r *rounds) next(group, free []*peer) *peer {
	total := 0
	for _, s := range group {
		switch {
		case !s.up || s.Down || s.Weight == 0:
			s.place = place{absent: true}
			continue
		case s.place.absent:
			r.joins++
			s.place = place{due: r.turns, since: r.joins}
		}
		total += s.Weight
	}
	best := r.best(free)
	if r.turns == 0 || best == nil {
		*r = rounds{turns: total, joins: r.joins}
		for _, s := range group {
			s.place.in, s.place.due = false, 0
		}
		best = r.best(free)
	}
	r.take(best, total)
	return best
}

// best is who has the turn: who is due for it, or who comes in, or who would be
// due next. Nil means that all wait for the next round.
func (r *rounds) best(free []*peer) *peer {
	var due, waiting *peer
	for _, s := range free {
		switch {
		case s.place.in:
			if due == nil || s.sooner(due) {
				due = s
			}
		case r.turns > 0 && s.place.due >= r.turns:
		case waiting == nil || s.Weight > waiting.Weight || s.Weight == waiting.Weight && s.place.since < waiting.place.since:
			waiting = s
		}
	}
	if waiting != nil && (due == nil || due.place.due > r.turn) {
		return waiting
	}
	return due
}

// sooner tells whether s comes before o, both being in the round. Of two that
// are due at once it is the one with less left over, then with more weight.
func (s *peer) sooner(o *peer) bool {
	return cmp.Or(
		cmp.Compare(s.place.due, o.place.due),
		cmp.Compare(s.place.rest-s.Weight, o.place.rest-o.Weight),
		cmp.Compare(s.place.since, o.place.since),
	) < 0
}

// take gives s the turn.
func (r *rounds) take(s *peer, total int) {
	if !s.place.in {
		s.place = place{due: r.turn}
	}
	s.place.due += total / s.Weight
	s.place.rest += total % s.Weight
	if s.place.rest >= s.Weight {
		s.place.rest -= s.Weight
		s.place.due++
	}
	r.turn++
	r.joins++
	s.place.since = r.joins
	s.place.in = s.place.due < r.turns
}
