package diagram

import (
	"cmp"
	"math"
	"slices"
)

// Sizes in pixels. Text is monospaced and set to exactly the width that is
// reckoned with here (textLength), whatever font there is.
const (
	fontSize   = 13
	charWidth  = 7.8 // 0.6 em, as most monospaced fonts have it
	lineHeight = 18
	padding    = 10
	header     = 2*lineHeight + padding // title and file
	boxGap     = 28
	laneHeight = 12
	trackGap   = 11
	channelPad = 22
	margin     = 16
	titleRoom  = 3*lineHeight + margin
	factWidth  = 44 // characters, before a line is broken
)

// placed is a box with its place.
type placed struct {
	*Box
	x, y, w, h float64
	facts      []string
	head       float64 // of title and facts, where arrows arrive
	rows       []placedRow
}

// placedRow is a way on, with the height at which it leaves the box.
type placedRow struct {
	name         []string // a heading, where it is another one than before
	match, below []string // below is what it carries, or what it answers
	y, h         float64  // from the top of the box
}

// way is one arrow: from a row to a box, through every column between.
type way struct {
	from   *placed
	row    int
	to     *placed
	lanes  []*lane // one for each column that is passed
	points [][2]float64
}

// lane is the room that an arrow has in a column of boxes.
type lane struct {
	way *way
	y   float64
}

// item is what stands in a column: a box or a lane.
type item struct {
	box  *placed
	lane *lane
	want float64 // where it would like to be
}

func (i item) height() float64 {
	if i.box != nil {
		return i.box.h
	}
	return laneHeight
}

// layout places everything.
type layout struct {
	columns       [][]*placed
	items         [][]item
	ways          []*way
	right         []float64 // edge of each column
	width, height float64
}

func newLayout(g *Graph) *layout {
	l := &layout{}
	boxes := map[*Box]*placed{}
	for _, b := range g.Boxes {
		for len(l.columns) <= b.layer {
			l.columns = append(l.columns, nil)
		}
		p := measure(b)
		boxes[b] = p
		l.columns[b.layer] = append(l.columns[b.layer], p)
	}
	for _, b := range g.Boxes {
		for i, r := range b.Rows {
			for _, to := range r.To {
				l.ways = append(l.ways, &way{from: boxes[b], row: i, to: boxes[to]})
			}
		}
	}
	l.stack()
	l.spread()
	l.route()
	return l
}

// measure finds the size of a box.
func measure(b *Box) *placed {
	p := &placed{Box: b}
	widest := max(columns(b.Title), columns(b.From))
	lines := func(texts []string) {
		for _, t := range texts {
			widest = max(widest, columns(t))
		}
	}
	y := float64(header)
	for _, f := range b.Facts {
		p.facts = append(p.facts, wrap(f, factWidth)...)
	}
	lines(p.facts)
	y += float64(len(p.facts)) * lineHeight
	p.head = y
	y += padding
	name := ""
	for _, r := range b.Rows {
		row := placedRow{match: wrap(r.Match, factWidth), y: y}
		if r.Name != name {
			name = r.Name
			row.name = wrap(name, factWidth)
			lines(row.name)
		}
		switch {
		case len(r.To) == 0:
			row.below = wrap(r.end(), factWidth)
		case r.Carries != "":
			row.below = wrap(r.Carries, factWidth)
		}
		lines(row.match)
		lines(row.below)
		row.h = float64(len(row.name)+len(row.match)+len(row.below))*lineHeight + padding
		y += row.h
		p.rows = append(p.rows, row)
	}
	p.w, p.h = float64(widest)*charWidth+2*padding, y
	return p
}

// stack orders each column so that arrows cross little, and places what is in
// it.
func (l *layout) stack() {
	l.items = make([][]item, len(l.columns))
	for k, column := range l.columns {
		for _, b := range column {
			l.items[k] = append(l.items[k], item{box: b, want: -1})
		}
	}
	for _, w := range l.ways {
		for k := w.from.layer + 1; k < w.to.layer; k++ {
			n := &lane{way: w}
			w.lanes = append(w.lanes, n)
			l.items[k] = append(l.items[k], item{lane: n})
		}
	}
	for k := range l.items {
		for i := range l.items[k] {
			l.items[k][i].want = l.wanted(l.items[k][i], k)
		}
		slices.SortStableFunc(l.items[k], func(a, b item) int { return cmp.Compare(a.want, b.want) })
		y := float64(titleRoom)
		for _, i := range l.items[k] {
			at := y
			if !math.IsInf(i.want, 0) {
				at = max(y, i.want-i.height()/2)
			}
			if i.box != nil {
				i.box.y = at
			} else {
				i.lane.y = at + laneHeight/2
			}
			y = at + i.height() + boxGap
		}
		l.height = max(l.height, y-boxGap)
	}
}

// wanted is the mean height of what leads to an item from the left; what
// nothing leads to stands last, and has no wish.
func (l *layout) wanted(i item, column int) float64 {
	sum, n := 0.0, 0
	for _, w := range l.ways {
		switch {
		case i.box != nil && w.to == i.box && w.from.layer < column, i.lane != nil && w == i.lane.way:
			sum += w.before(column)
			n++
		}
	}
	if n == 0 {
		return math.Inf(1)
	}
	return sum / float64(n)
}

// before is where a way comes from when it enters a column.
func (w *way) before(column int) float64 {
	if i := column - w.from.layer - 2; i >= 0 && i < len(w.lanes) {
		return w.lanes[i].y
	}
	return w.from.port(w.row)
}

// port is the height at which a row's arrows leave a box: beside what they
// carry, below the heading.
func (p *placed) port(row int) float64 {
	r := p.rows[row]
	heading := float64(len(r.name)) * lineHeight
	return p.y + r.y + heading + (r.h-heading)/2
}

// spread places the columns beside each other, with room for arrows between.
func (l *layout) spread() {
	x := float64(margin)
	if n := l.tracks(-1); n > 0 {
		x += channelPad + float64(n)*trackGap
	}
	for k, column := range l.columns {
		widest := 0.0
		for _, b := range column {
			b.x = x
			widest = max(widest, b.w)
		}
		// Boxes of a column are equally wide.
		for _, b := range column {
			b.w = widest
		}
		l.right = append(l.right, x+widest)
		l.width = x + widest + margin
		if n := l.tracks(k); n > 0 {
			x += widest + 2*channelPad + float64(n)*trackGap
			l.width = max(l.width, x-channelPad+margin)
		}
	}
}

// tracks is how many ways go through the channel behind column k; -1 is the one
// before the first.
func (l *layout) tracks(k int) int {
	n := 0
	for _, w := range l.ways {
		switch {
		case w.back() && w.from.layer == k, w.back() && w.to.layer == k+1, !w.back() && w.from.layer <= k && w.to.layer > k:
			n++
		}
	}
	return n
}
