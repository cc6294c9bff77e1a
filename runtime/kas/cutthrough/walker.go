package cutthrough

import (
	"time"

	"kasgen/runtime/sniff"
)

// walker follows the frames of what is read and parts what is gRPC's from what
// is not. It is fed in any portions: data is what it has not worked off.
type walker struct {
	conn *Conn
	data []byte

	// What gRPC gets next: out, and then the first pass bytes of data and of
	// what follows it.
	out    [headerSize + 4]byte
	outAt  uint8
	outEnd uint8
	pass   int

	// The frame that is being read, where it is DATA of a followed stream.
	current *Stream
	left    int  // of its data
	padding int  // of its padding
	padded  bool // the padding's length has not been read
	ends    bool // it ends the peer's direction

	in  [headerSize]byte // a header that has not come whole
	got int

	block       bool   // between HEADERS and the end of its block
	opening     uint32 // the stream of the last HEADERS
	openingEnds bool
	unacked     int   // taken off the connection's window, not given back
	shown       int64 // when gRPC was last shown that the peer lives, in nanoseconds of Unix time

	wake *Stream // list of those with something new for a receiver that waits
}

func (w *walker) init(c *Conn, head []byte) {
	w.conn, w.data = c, head
	w.pass = len(sniff.Preface)
}

// inFrame says whether a frame's payload is coming, or its rest.
func (w *walker) inFrame() bool { return w.pass > 0 || w.current != nil }

// deliver copies what is gRPC's to p.
func (w *walker) deliver(p []byte) int {
	if w.outAt < w.outEnd {
		n := copy(p, w.out[w.outAt:w.outEnd])
		w.outAt += uint8(n)
		return n
	}
	n := copy(p[:min(len(p), w.pass)], w.data)
	w.pass -= n
	w.data = w.data[n:]
	return n
}

// deliverable says whether deliver would copy something.
func (w *walker) deliverable() bool {
	return w.outAt < w.outEnd || w.pass > 0 && len(w.data) > 0
}

// walk works data off until it is empty or something is gRPC's.
func (w *walker) walk() {
	for w.pass == 0 && w.outAt == w.outEnd {
		ended := w.current != nil && !w.padded && w.left == 0 && w.padding == 0
		if len(w.data) == 0 && !ended {
			break
		}
		switch {
		case ended:
			w.endFrame()
		case w.current == nil:
			w.header()
		case w.padded:
			w.padLength()
		case w.left > 0:
			w.payload()
		default:
			n := min(w.padding, len(w.data))
			w.padding -= n
			w.data = w.data[n:]
		}
	}
	w.wakeAll()
}

// wakeAll wakes those that wait, once for all that was read for them.
func (w *walker) wakeAll() {
	for w.wake != nil {
		s := w.wake
		w.wake, s.next = s.next, nil
		s.notify()
	}
}

// header reads a frame's header, or a part of it.
func (w *walker) header() {
	p := w.data
	if w.got > 0 || len(p) < headerSize {
		n := copy(w.in[w.got:], p)
		w.got += n
		w.data = w.data[n:]
		if w.got < headerSize {
			return
		}
		w.got = 0
		p = w.in[:]
	} else {
		w.data = w.data[headerSize:]
	}
	f := parseFrame(p)
	s := w.judge(f)
	if s == nil {
		w.put(p[:headerSize])
		w.pass = f.length
		return
	}
	w.current = s
	w.ends = f.flags&flagEndStream != 0
	w.padded = f.flags&flagPadded != 0
	w.left, w.padding = f.length, 0
	if s.window.Add(-int64(f.length)) < 0 {
		w.overrun()
		return
	}
}

// judge says whose a frame is: it returns the stream of which it is DATA, or
// nil if the frame is gRPC's as it is. Frames that are wrong are gRPC's.
func (w *walker) judge(f frame) *Stream {
	inBlock := w.block
	switch f.kind {
	case frameHeaders:
		w.block = f.flags&flagEndHeaders == 0
		w.opening, w.openingEnds = f.id, f.flags&flagEndStream != 0
	case frameContinuation:
		w.block = inBlock && f.flags&flagEndHeaders == 0
	case frameReset:
		if s := w.conn.forget(f.id); s != nil {
			s.finish(errReset)
		}
	case frameData:
		s := w.conn.stream(f.id)
		if s == nil || inBlock || s.ended || f.length > maxFrame || f.length == 0 && f.flags&flagPadded != 0 {
			return nil
		}
		return s
	}
	return nil
}

func (w *walker) put(p []byte) {
	w.outAt, w.outEnd = 0, uint8(copy(w.out[:], p))
}

// padLength reads the length of a frame's padding, which is gRPC's to judge if
// it is too large.
func (w *walker) padLength() {
	n := int(w.data[0])
	if n >= w.left {
		f := frame{length: w.left, kind: frameData, flags: flagPadded, id: w.current.id}
		if w.ends {
			f.flags |= flagEndStream
		}
		w.put(f.append(w.out[:0]))
		w.pass = w.left
		w.current, w.padded = nil, false
		return
	}
	w.data = w.data[1:]
	w.padded = false
	w.left, w.padding = w.left-1-n, n
	w.taken(1 + n)
	w.current.skip(1 + n)
}

// payload hands data of a followed stream on: to gRPC as a frame of its own,
// or to the stream.
func (w *walker) payload() {
	n, diverted := w.current.take(w.data[:min(w.left, len(w.data))])
	w.left -= n
	if diverted {
		w.data = w.data[n:]
		w.taken(n)
		w.showLife()
		return
	}
	w.put(frame{length: n, kind: frameData, id: w.current.id}.append(w.out[:0]))
	w.pass = n
}

// endFrame ends the current frame. gRPC learns of a stream's end by an empty
// frame of its own.
func (w *walker) endFrame() {
	s := w.current
	w.current = nil
	if !w.ends {
		return
	}
	s.ended = true
	s.finish(nil)
	w.put(frame{kind: frameData, flags: flagEndStream, id: s.id}.append(w.out[:0]))
}

// showEvery is how often gRPC gets an empty frame while bytes pass it by: it
// closes a connection on which it has seen nothing, and on which the answer to
// its ping is slow, as it is behind a lot of data.
const showEvery = 5 * time.Second

func (w *walker) showLife() {
	if now := time.Now().UnixNano(); now-w.shown > int64(showEvery) {
		w.shown = now
		w.put(frame{kind: frameData, id: w.current.id}.append(w.out[:0]))
	}
}

// overrun resets a stream whose peer has sent more than it may, towards the
// peer and towards gRPC. What is left of the frame is nobody's.
func (w *walker) overrun() {
	s := w.current
	w.conn.forget(s.id)
	s.finish(errOverrun)
	w.conn.out.inject(w.conn, appendWord(nil, frameReset, s.id, codeFlowControl))
	w.put(appendWord(w.out[:0], frameReset, s.id, codeFlowControl))
	w.padding, w.left, w.padded, w.ends = w.left, 0, false, false
	w.taken(w.padding)
}

// taken gives n bytes of the connection's window back, now or with others. It
// does not wait for whoever reads the stream, as gRPC does not.
func (w *walker) taken(n int) {
	w.unacked += n
	if w.unacked >= int(w.conn.options.ConnWindow/4) {
		w.conn.out.inject(w.conn, appendWord(nil, frameWindowUpdate, 0, uint32(w.unacked)))
		w.unacked = 0
	}
}
