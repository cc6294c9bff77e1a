package cutthrough

import (
	"encoding/binary"
	"sync"
)

// writer follows the frames that gRPC writes, to know where one ends: only
// there can a frame of our own be put in.
type writer struct {
	mu   sync.Mutex           // held while something is written
	in   [headerSize + 4]byte // a header, and the payload of a WINDOW_UPDATE
	got  int                  // of in
	left int                  // of the frame's payload after that

	injecting sync.Mutex
	injected  []byte // whole frames
	flushing  bool   // a goroutine is on its way to write them
}

// Write writes what gRPC writes, and at the first end of a frame what is to be
// put in.
func (c *Conn) Write(p []byte) (int, error) {
	w := &c.out
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.follow(c, p)
	if at < 0 {
		return c.Conn.Write(p)
	}
	ours := w.takeInjected()
	if len(ours) == 0 {
		return c.Conn.Write(p)
	}
	// In one piece, whatever lies below: TLS would make records of three.
	whole := make([]byte, 0, len(p)+len(ours))
	whole = append(append(append(whole, p[:at]...), ours...), p[at:]...)
	if _, err := c.Conn.Write(whole); err != nil {
		return 0, err
	}
	return len(p), nil
}

// inject writes whole frames soon: with what gRPC writes next, or by itself. It
// does not block.
func (w *writer) inject(c *Conn, frames []byte) {
	w.injecting.Lock()
	defer w.injecting.Unlock()
	w.injected = append(w.injected, frames...)
	if !w.flushing {
		w.flushing = true
		go w.flush(c)
	}
}

func (w *writer) flush(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.got > 0 || w.left > 0 {
		// In the middle of a frame: gRPC's next Write, which ends it, takes
		// them along.
		w.injecting.Lock()
		w.flushing = false
		w.injecting.Unlock()
		return
	}
	if ours := w.takeInjected(); len(ours) > 0 {
		// A connection that cannot be written to is noticed by its reader.
		_, _ = c.Conn.Write(ours)
	}
}

func (w *writer) takeInjected() []byte {
	w.injecting.Lock()
	defer w.injecting.Unlock()
	ours := w.injected
	w.injected, w.flushing = nil, false
	return ours
}

// follow goes through the frames in p and returns where the first of them
// ends, or begins, or -1 if all of p lies within one.
func (w *writer) follow(c *Conn, p []byte) int {
	first := -1
	for at := 0; ; {
		if w.got == 0 && w.left == 0 && first < 0 {
			first = at
		}
		if at == len(p) {
			return first
		}
		if w.left > 0 {
			n := min(w.left, len(p)-at)
			w.left -= n
			at += n
			continue
		}
		n := copy(w.in[w.got:w.need()], p[at:])
		w.got += n
		at += n
		if w.got == w.need() {
			w.written(c)
		}
	}
}

// need is how much of a frame has to be seen.
func (w *writer) need() int {
	if w.got >= headerSize && w.in[3] == frameWindowUpdate {
		return headerSize + 4
	}
	return headerSize
}

// written notes what a frame says of a followed stream.
func (w *writer) written(c *Conn) {
	f := parseFrame(w.in[:])
	w.left = f.length - (w.got - headerSize)
	switch {
	case f.id == 0:
	case f.kind == frameWindowUpdate:
		if s := c.stream(f.id); s != nil {
			s.window.Add(int64(binary.BigEndian.Uint32(w.in[headerSize:])))
		}
	case f.kind == frameReset, (f.kind == frameHeaders || f.kind == frameData) && f.flags&flagEndStream != 0:
		if s := c.forget(f.id); s != nil {
			s.abandon()
		}
	}
	w.got = 0
}
