package cutthrough

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// sink is a connection that keeps what is written to it.
type sink struct {
	net.Conn
	mu sync.Mutex
	bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Buffer.Write(p)
}

func (s *sink) Read([]byte) (int, error) { return 0, io.EOF }

// Frames that are put in lie between gRPC's, whatever pieces those come in,
// and none is lost.
func TestInjection(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		dice := rand.New(rand.NewPCG(2, seed))
		var written bytes.Buffer
		framer := http2.NewFramer(&written, nil)
		for range 40 {
			id := 2*dice.Uint32N(5) + 1
			switch dice.IntN(4) {
			case 0:
				framer.WriteWindowUpdate(id, 1+dice.Uint32N(1000))
			case 1:
				framer.WriteData(id, dice.IntN(2) == 0, make([]byte, dice.IntN(300)))
			case 2:
				framer.WriteSettings()
			default:
				framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: make([]byte, dice.IntN(40)), EndHeaders: true})
			}
		}
		want := frames(t, written.Bytes())
		out := new(sink)
		c := New(out, newOptions())
		injected := 0
		for p := written.Bytes(); len(p) > 0; {
			if dice.IntN(3) == 0 {
				injected++
				c.out.inject(c, appendWord(nil, frameWindowUpdate, 1000, uint32(injected)))
				if dice.IntN(2) == 0 {
					c.out.flush(c)
				}
			}
			n := min(len(p), 1+dice.IntN(100))
			if m, err := c.Write(p[:n]); m != n || err != nil {
				t.Fatal(m, err)
			}
			p = p[n:]
		}
		for deadline := time.Now().Add(10 * time.Second); ; {
			c.out.injecting.Lock()
			idle := !c.out.flushing && len(c.out.injected) == 0
			c.out.injecting.Unlock()
			if idle || time.Now().After(deadline) {
				break
			}
			time.Sleep(time.Millisecond)
		}
		c.out.mu.Lock() // after the last flush
		got := frames(t, out.Bytes())
		c.out.mu.Unlock()
		ours := 0
		got = slices.DeleteFunc(got, func(f string) bool {
			if f == fmt.Sprintf("8 0 1000 %x", appendWord(nil, 0, 0, uint32(ours+1))[headerSize:]) {
				ours++
				return true
			}
			return false
		})
		if ours != injected || !slices.Equal(got, want) {
			t.Fatalf("seed %d: %d frames of %d were put in, and gRPC's are %d of %d", seed, ours, injected, len(got), len(want))
		}
	}
}

// frames are p's, as text.
func frames(t *testing.T, p []byte) []string {
	t.Helper()
	var all []string
	for len(p) > 0 {
		if len(p) < headerSize {
			t.Fatal("a frame is cut off")
		}
		f := parseFrame(p)
		p = p[headerSize:]
		if len(p) < f.length {
			t.Fatal("a frame is cut off")
		}
		all = append(all, fmt.Sprintf("%d %d %d %x", f.kind, f.flags, f.id, p[:f.length]))
		p = p[f.length:]
	}
	return all
}

// A stream that gRPC ends is followed no longer, and what gRPC gives of its
// window counts.
func TestWrittenFrames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		write func(*http2.Framer)
		over  bool
		grown int64
	}{
		{"trailers", func(f *http2.Framer) {
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: []byte{1, 2}, EndHeaders: true, EndStream: true})
		}, true, 0},
		{"a reset", func(f *http2.Framer) { f.WriteRSTStream(5, 1) }, true, 0},
		{"an end of data", func(f *http2.Framer) { f.WriteData(5, true, []byte("x")) }, true, 0},
		{"headers", func(f *http2.Framer) {
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: []byte{1, 2}, EndHeaders: true})
		}, false, 0},
		{"data", func(f *http2.Framer) { f.WriteData(5, false, []byte("x")) }, false, 0},
		{"another stream's reset", func(f *http2.Framer) { f.WriteRSTStream(7, 1) }, false, 0},
		{"more window", func(f *http2.Framer) { f.WriteWindowUpdate(5, 77) }, false, 77},
		{"more window of the connection", func(f *http2.Framer) { f.WriteWindowUpdate(0, 77) }, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := New(new(sink), newOptions())
			c.walker.opening = 5
			s := FromContext(c.Follow(t.Context()))
			framer := http2.NewFramer(c, nil)
			framer.WriteSettings()
			tt.write(framer)
			if s.over != tt.over || (c.stream(5) == nil) != tt.over {
				t.Errorf("over: %v", s.over)
			}
			if grown := s.window.Load() - streamWindow; grown != tt.grown {
				t.Errorf("the window grew by %d, not by %d", grown, tt.grown)
			}
		})
	}
}
