package cutthrough

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"kasgen/runtime/sniff"
)

// pieces is a socket from which bytes come in pieces.
type pieces struct {
	conn *Conn
	p    []byte
	size func() int
}

func (r *pieces) Read(ready func(fd uintptr) bool) error { ready(0); return nil }
func (r *pieces) Write(func(fd uintptr) bool) error      { return errors.ErrUnsupported }
func (r *pieces) Control(func(fd uintptr)) error         { return errors.ErrUnsupported }

func (r *pieces) ready(uintptr) bool {
	if len(r.p) == 0 {
		r.conn.readErr = io.EOF
		return true
	}
	n := min(len(r.p), max(1, r.size()))
	// Its own array: what is read past it is found.
	r.conn.walker.data, r.p = bytes.Clone(r.p[:n]), r.p[n:]
	return true
}

// gRPC sees that a peer lives of which it gets no data, but not at each frame.
func TestShowsLife(t *testing.T) {
	t.Parallel()
	c := New(new(sink), newOptions())
	c.walker.opening, c.walker.pass = 1, 0
	FromContext(c.Follow(t.Context())).Divert(nil)
	show := func(want string) {
		t.Helper()
		var b bytes.Buffer
		f := http2.NewFramer(&b, nil)
		for range 3 {
			f.WriteData(1, false, message(0, []byte("hello")))
		}
		var got []byte
		for c.walker.data = b.Bytes(); ; {
			c.walker.walk()
			p := make([]byte, 100)
			n := c.walker.deliver(p)
			if got = append(got, p[:n]...); n == 0 {
				break
			}
		}
		if string(got) != want {
			t.Errorf("gRPC got %x, not %x", got, want)
		}
	}
	empty := string(frame{kind: frameData, id: 1}.append(nil))
	show(empty)
	show("")
	c.walker.shown -= int64(2 * showEvery)
	show(empty)
}

// Each of several streams with messages in one read is woken.
func TestWakesAll(t *testing.T) {
	t.Parallel()
	c := New(new(sink), newOptions())
	var b bytes.Buffer
	f := http2.NewFramer(&b, nil)
	streams := map[uint32]*Stream{}
	for _, id := range []uint32{1, 3, 5} {
		c.walker.opening = id
		streams[id] = FromContext(c.Follow(t.Context()))
		streams[id].Divert(nil)
		streams[id].waiting = true
	}
	for _, id := range []uint32{5, 1, 3, 1} {
		f.WriteData(id, false, message(0, []byte("hello")))
	}
	c.walker.pass, c.walker.data, c.walker.shown = 0, b.Bytes(), time.Now().UnixNano()
	c.walker.walk()
	for id, s := range streams {
		select {
		case <-s.ready:
		default:
			t.Errorf("stream %d was not woken", id)
		}
	}
}

// result is what came of some bytes: what gRPC got, and what was diverted.
type result struct {
	frames   string            // of what is not DATA that is followed
	data     map[uint32][]byte // that is followed, by stream
	messages map[uint32][]byte // diverted, with their prefixes
	ends     map[uint32]string
}

// walk is a gRPC server's part on a connection: it follows every new stream and
// diverts one when a PING bears its number.
func walk(t *testing.T, p []byte, size func() int) result {
	res := result{data: map[uint32][]byte{}, messages: map[uint32][]byte{}, ends: map[uint32]string{}}
	c := New(new(sink), newOptions())
	source := &pieces{conn: c, p: p, size: size}
	c.raw, c.ready = source, source.ready
	streams := map[uint32]*Stream{}
	diverted := map[uint32]*Stream{}
	followed := map[uint32]bool{}
	block := false // HEADERS go on
	var log strings.Builder
	if _, err := io.ReadFull(c, make([]byte, len(sniff.Preface))); err != nil {
		return res
	}
	for {
		var head [headerSize]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			fmt.Fprint(&log, err)
			break
		}
		f := parseFrame(head[:])
		// A server closes the connection at the first fault.
		if f.length > maxFrame || block != (f.kind == frameContinuation) ||
			streams[f.id] != nil && f.kind == frameData && f.flags&flagPadded != 0 {
			fmt.Fprintf(&log, "a fault: %v", f)
			break
		}
		if f.kind == frameHeaders || f.kind == frameContinuation {
			block = f.flags&flagEndHeaders == 0
		}
		payload := make([]byte, f.length)
		if n, err := io.ReadFull(c, payload); err != nil {
			if s := streams[f.id]; s != nil && f.kind == frameData {
				res.data[f.id] = append(res.data[f.id], payload[:n]...)
			} else {
				fmt.Fprintf(&log, "%v %x %v", f, payload[:n], err)
			}
			break
		}
		if s := streams[f.id]; s != nil && f.kind == frameData && f.flags&flagPadded == 0 {
			res.data[f.id] = append(res.data[f.id], payload...)
			if f.flags&flagEndStream != 0 {
				fmt.Fprintf(&log, "end %d\n", f.id)
			}
			continue
		}
		fmt.Fprintf(&log, "%v %x\n", f, payload)
		switch {
		case (f.kind == frameHeaders || f.kind == frameContinuation) && !block && !followed[f.id]:
			if s := FromContext(c.Follow(t.Context())); s != nil {
				streams[s.id], followed[s.id] = s, true
			}
		case f.kind == frameReset:
			delete(streams, f.id)
		case f.kind == 6 && f.length > 0:
			id := uint32(payload[0])
			if s := streams[id]; s != nil && diverted[id] == nil {
				if _, ok := s.Divert(nil); ok {
					diverted[id] = s
				}
			}
		}
	}
	res.frames = log.String()
	c.fail(io.EOF) // as if the rest of the connection had been read
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for id, s := range diverted {
		for {
			m, err := s.Next(ctx)
			if err != nil {
				res.ends[id] = err.Error()
				break
			}
			res.messages[id] = append(res.messages[id], message(0, m.ReadOnlyData())...)
			m.Free()
		}
	}
	return res
}

// sent is what lies in p's DATA frames, by stream, as long as all is in order.
func sent(p []byte) map[uint32][]byte {
	all := map[uint32][]byte{}
	for p = p[min(len(p), len(sniff.Preface)):]; len(p) >= headerSize; {
		f := parseFrame(p)
		p = p[headerSize:]
		body := p[:min(len(p), f.length)]
		p = p[len(body):]
		if f.kind == frameData && f.flags&flagPadded != 0 && len(body) > 0 {
			pad := int(body[0])
			body = body[1:max(1, min(len(body), f.length-pad))]
		}
		if f.kind == frameData {
			all[f.id] = append(all[f.id], body...)
		}
	}
	return all
}

// FuzzWalker feeds a connection in any pieces: what comes of it is the same,
// and diverted messages follow on what gRPC got.
func FuzzWalker(f *testing.F) {
	add := func(split uint64, write func(*http2.Framer)) {
		var b bytes.Buffer
		b.WriteString(sniff.Preface)
		framer := http2.NewFramer(&b, nil)
		framer.AllowIllegalWrites = true
		write(framer)
		f.Add(b.Bytes(), split)
	}
	open := func(f *http2.Framer, id uint32) {
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x82}, EndHeaders: true})
	}
	hello, long := message(0, []byte("hello")), message(0, make([]byte, 20000))
	add(1, func(f *http2.Framer) {
		open(f, 1)
		f.WriteData(1, false, hello)
		f.WritePing(false, [8]byte{1})
		f.WriteData(1, true, hello)
	})
	add(7, func(f *http2.Framer) {
		open(f, 1)
		open(f, 3)
		f.WriteData(1, false, hello[:3])
		f.WriteDataPadded(3, false, hello, make([]byte, 200))
		f.WritePing(false, [8]byte{1})
		f.WriteDataPadded(1, false, append(hello[3:], hello...), make([]byte, 9))
		f.WriteData(1, false, long[:15000])
		f.WritePing(false, [8]byte{3})
		f.WriteData(3, false, long[:10])
		f.WriteData(1, true, long[15000:])
		f.WriteRSTStream(3, 8)
		f.WriteData(3, false, hello)
	})
	add(100, func(f *http2.Framer) {
		open(f, 1)
		f.WriteData(1, false, hello[:7])
		f.WritePing(false, [8]byte{1})
		f.WriteData(1, false, hello[7:])
		f.WriteRawFrame(0, 8, 1, []byte{9, 1})
	})
	f.Fuzz(func(t *testing.T, p []byte, split uint64) {
		whole := walk(t, p, func() int { return len(p) })
		state := split
		parts := walk(t, p, func() int {
			state = state*6364136223846793005 + 1442695040888963407
			return int(state>>33) % (1 + int(split%64))
		})
		if a, b := fmt.Sprint(whole), fmt.Sprint(parts); a != b {
			t.Fatalf("in one piece:\n%s\nin many:\n%s", a, b)
		}
		all := sent(p)
		for id, data := range whole.data {
			got := append(bytes.Clone(data), whole.messages[id]...)
			if len(whole.messages[id]) > 0 && !plain(got) {
				continue // compressed ones cannot be compared
			}
			if !bytes.Contains(all[id], got) {
				t.Errorf("stream %d: %x was received of %x", id, got, all[id])
			}
		}
	})
}

// plain says whether p is whole messages without compression.
func plain(p []byte) bool {
	for len(p) >= prefixSize {
		n := prefixSize + int(p[1])<<24 + int(p[2])<<16 + int(p[3])<<8 + int(p[4])
		if p[0] != 0 || n > len(p) {
			return false
		}
		p = p[n:]
	}
	return len(p) == 0
}
