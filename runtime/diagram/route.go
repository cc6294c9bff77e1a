package diagram

import (
	"cmp"
	"slices"
)

// leg is the part of a way that is in the channel behind one column.
type leg struct {
	way     *way
	in, out float64 // heights at which it comes and goes
}

// route draws the ways: level through boxes' columns, and up or down only in
// the channels between, each on a track of its own. Those that lead back go
// below everything.
func (l *layout) route() {
	slots := l.slots()
	below := map[*way]float64{}
	for _, w := range l.ways {
		if w.back() {
			l.height += laneHeight
			below[w] = l.height
		}
		w.points = [][2]float64{{w.from.x + w.from.w, w.from.port(w.row)}}
	}
	up := map[*way][][2]float64{}
	for k := -1; k < len(l.columns); k++ {
		var legs []leg
		for _, w := range l.ways {
			switch {
			case w.back():
				if k == w.from.layer {
					legs = append(legs, leg{w, w.points[0][1], below[w]})
				}
				if k == w.to.layer-1 {
					legs = append(legs, leg{w, below[w], slots[w]})
				}
			case w.from.layer <= k && w.to.layer > k:
				out := slots[w]
				if w.to.layer > k+1 {
					out = w.lanes[k-w.from.layer].y
				}
				legs = append(legs, leg{w, w.points[len(w.points)-1][1], out})
			}
		}
		for i, g := range ordered(legs) {
			x := float64(margin) + float64(i)*trackGap
			if k >= 0 {
				x = l.right[k] + channelPad + float64(i)*trackGap
			}
			run := [][2]float64{{x, g.in}, {x, g.out}}
			if g.way.back() && g.in == below[g.way] {
				up[g.way] = run
			} else {
				g.way.points = append(g.way.points, run...)
			}
		}
	}
	for _, w := range l.ways {
		w.points = append(append(w.points, up[w]...), [2]float64{w.to.x, slots[w]})
	}
}

// back says whether a way leads to an earlier column, or stays in its own.
func (w *way) back() bool { return w.to.layer <= w.from.layer }

// ordered are legs from left to right: those that go down from further up lie
// further to the right, so that they do not cross.
func ordered(legs []leg) []leg {
	slices.SortStableFunc(legs, func(a, b leg) int {
		downA, downB := a.out >= a.in, b.out >= b.in
		switch {
		case downA != downB && downA:
			return 1
		case downA != downB:
			return -1
		case downA:
			return cmp.Compare(b.in, a.in)
		default:
			return cmp.Compare(a.in, b.in)
		}
	})
	return legs
}

// slots are the heights at which ways come to their boxes, apart from each
// other and from what else is level there.
func (l *layout) slots() map[*way]float64 {
	slots := map[*way]float64{}
	for k, column := range l.columns {
		var taken []float64
		for _, w := range l.ways {
			if w.from.layer < k && w.to.layer >= k {
				taken = append(taken, w.before(k))
			}
		}
		for _, b := range column {
			var to []*way
			for _, w := range l.ways {
				if w.to == b {
					to = append(to, w)
				}
			}
			slices.SortStableFunc(to, func(a, c *way) int { return cmp.Compare(a.before(k), c.before(k)) })
			for i, w := range to {
				y := b.y + b.head*float64(i+1)/float64(len(to)+1)
				if len(to) == 1 && within(w.before(k), b.y+padding, b.y+b.head-padding/2) {
					y = w.before(k) // straight on
				} else {
					for slices.ContainsFunc(taken, func(other float64) bool { return within(other, y-3, y+3) }) && y < b.y+b.head-padding {
						y += 4
					}
				}
				taken = append(taken, y)
				slots[w] = y
			}
		}
	}
	return slots
}

func within(y, low, high float64) bool { return y >= low && y <= high }
