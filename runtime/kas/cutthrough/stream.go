package cutthrough

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/mem"
)

// Stream is a gRPC stream that is followed: its messages go to gRPC until
// Divert, and to Next from then on.
type Stream struct {
	conn   *Conn
	id     uint32
	ended  bool         // by the peer; of the reading goroutine
	next   *Stream      // in the walker's list
	window atomic.Int64 // what the peer may still send

	mu      sync.Mutex
	began   uint64 // messages that gRPC has got, or the beginning of
	prefix  [prefixSize]byte
	got     uint8  // of the prefix
	rest    uint32 // of the message after it
	unacked uint32 // taken off the stream's window, not given back
	err     error  // what comes after the last message
	over    bool   // gRPC has ended the stream: nobody receives
	*inbox         // nil until Divert
}

// followed is the context of a followed stream, in one piece with it: there are
// thousands, and most are idle.
type followed struct {
	context.Context
	stream Stream
}

type contextKey struct{}

// Value implements context.Context.
func (f *followed) Value(key any) any {
	if key == (contextKey{}) {
		return &f.stream
	}
	return f.Context.Value(key)
}

// FromContext is the stream that gRPC opened with ctx, or nil if it is not
// followed.
func FromContext(ctx context.Context) *Stream {
	s, _ := ctx.Value(contextKey{}).(*Stream)
	return s
}

// prefixSize is a message's flag and length.
const prefixSize = 5

var (
	errReset   = errors.New("the peer reset the stream")
	errOverrun = errors.New("the peer sent more than the stream's window")
	errOver    = errors.New("the stream is over")
)

// Handler gets a message in the goroutine that reads the connection. It must
// not block. It reports whether it is done with the message, which is not its
// own; otherwise Next returns it.
type Handler func(m mem.Buffer) bool

// Divert takes the stream's messages from gRPC at the next boundary, and
// reports how many gRPC has got or will get: the others come from Next, or,
// while somebody waits in Next, to h if it is not nil. It reports false if
// there is nothing to divert any more. It is called once at the most.
func (s *Stream) Divert(h Handler) (first uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.over || s.inbox != nil {
		return 0, false
	}
	s.inbox = &inbox{handler: h, ready: make(chan struct{}, 1)}
	return s.began, true
}

// take takes the next bytes of the stream; it says of how many, and whether
// they are diverted.
func (s *Stream) take(p []byte) (n int, diverted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inbox == nil {
		return s.follow(p, false), false
	}
	if !s.inbox.diverting {
		if n = s.follow(p, true); n > 0 {
			return n, false
		}
		s.inbox.diverting = true
	}
	s.receive(p)
	return len(p), true
}

// follow goes through the messages in p; with last, it ends with the one that
// has begun. It returns how far it came.
func (s *Stream) follow(p []byte, last bool) int {
	n := 0
	for n < len(p) && !(last && s.got == 0) {
		if s.got < prefixSize {
			if s.got == 0 {
				s.began++
			}
			n += s.readPrefix(p[n:])
		} else {
			m := min(len(p)-n, int(s.rest))
			s.rest -= uint32(m)
			n += m
		}
		if s.got == prefixSize && s.rest == 0 {
			s.got = 0
		}
	}
	return n
}

func (s *Stream) readPrefix(p []byte) int {
	n := copy(s.prefix[s.got:], p)
	if s.got += uint8(n); s.got == prefixSize {
		s.rest = binary.BigEndian.Uint32(s.prefix[1:])
	}
	return n
}

// skip accounts for bytes that are no message's.
func (s *Stream) skip(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.consume(n)
}

// consume gives n bytes of the stream's window back, now or with others.
func (s *Stream) consume(n int) {
	s.unacked += uint32(n)
	if s.unacked < s.conn.options.StreamWindow/4 || s.err != nil || s.over {
		return
	}
	s.window.Add(int64(s.unacked))
	s.conn.out.inject(s.conn, appendWord(nil, frameWindowUpdate, s.id, s.unacked))
	s.unacked = 0
}

// finish says that nothing more comes from the peer, and why; nil is its
// orderly end.
func (s *Stream) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(err)
}

func (s *Stream) end(err error) {
	switch {
	case s.err != nil:
		return
	case err != nil:
		s.err = err
	case s.got > 0:
		s.err = io.ErrUnexpectedEOF
	default:
		s.err = io.EOF
	}
	s.wake()
}

// abandon says that gRPC has ended the stream.
func (s *Stream) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.end(errOver)
	if s.inbox != nil {
		s.inbox.drop(s.conn.options.Pool)
	}
}

// Next returns the next diverted message, which the caller frees: after the
// last one io.EOF, or what ended the stream. Only one may wait at a time.
func (s *Stream) Next(ctx context.Context) (mem.Buffer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.inbox
	for {
		if m := in.left; m != nil {
			in.left = nil
			return m, nil
		}
		if len(in.queue) > 0 {
			return s.open(in.pop())
		}
		if s.err != nil {
			return nil, s.err
		}
		if err := ctx.Err(); err != nil {
			s.over = true
			in.drop(s.conn.options.Pool)
			return nil, err
		}
		in.waiting = true
		s.hurry()
		s.mu.Unlock()
		select {
		case <-in.ready:
		case <-ctx.Done():
		}
		s.mu.Lock()
		in.waiting = false
	}
}

// open makes a message of what came. A stream with a message that cannot be
// read is useless from there on.
func (s *Stream) open(m parcel) (mem.Buffer, error) {
	s.consume(m.owed)
	s.mu.Unlock()
	b, err := m.open(s.conn.options)
	s.mu.Lock()
	if err != nil {
		s.spoil(err)
	}
	return b, err
}

func (s *Stream) spoil(err error) {
	s.over = true
	s.err = fmt.Errorf("reading a message: %w", err)
	s.inbox.drop(s.conn.options.Pool)
}
