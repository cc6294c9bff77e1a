package cutthrough

import "google.golang.org/grpc/mem"

// inbox is where the messages of a diverted stream go. All of it is guarded by
// the stream's mutex.
type inbox struct {
	handler   Handler
	diverting bool          // the message that gRPC had begun to get is complete
	waiting   bool          // somebody is in Next, and the queue is empty
	listed    bool          // in the walker's list
	ready     chan struct{} // of capacity 1: look again
	left      mem.Buffer    // what the handler was not done with
	queue     []parcel      // bounded by the stream's window

	// The message that is coming.
	coming  *[]byte
	have    int
	owed    int  // bytes of it that the window lacks
	hurried bool // they are given back as they come
}

// parcel is a message as it came.
type parcel struct {
	data       *[]byte // nil: empty
	compressed bool
	owed       int
}

func (in *inbox) pop() parcel {
	m := in.queue[0]
	in.queue[0] = parcel{}
	if in.queue = in.queue[1:]; len(in.queue) == 0 {
		in.queue = nil
	}
	return m
}

// drop throws away what nobody receives any more.
func (in *inbox) drop(pool mem.BufferPool) {
	for _, m := range in.queue {
		if m.data != nil {
			pool.Put(m.data)
		}
	}
	in.queue = nil
	if in.coming != nil {
		pool.Put(in.coming)
		in.coming = nil
	}
}

// receive takes bytes of messages.
func (s *Stream) receive(p []byte) {
	for len(p) > 0 {
		if s.over || s.err != nil {
			return
		}
		n := 0
		if s.got < prefixSize {
			if n = s.readPrefix(p); s.got == prefixSize {
				s.begin()
			}
		} else {
			n = s.gather(p)
		}
		s.inbox.owed += n
		if s.inbox.hurried {
			s.settle()
		}
		p = p[n:]
		if s.got == prefixSize && s.rest == 0 && !s.over {
			s.complete()
		}
	}
}

// gathered is how much room a message gets before more of it has come: its
// length is only what the peer says.
const gathered = 64 << 10

// begin begins a message whose prefix is complete.
func (s *Stream) begin() {
	in := s.inbox
	switch limit := s.conn.options.MaxMessage; {
	case s.prefix[0] > 1:
		s.spoil(errFlag)
	case int64(s.rest) > int64(limit):
		s.spoil(errTooLarge)
	case s.rest > 0:
		in.coming, in.have = s.conn.options.Pool.Get(min(int(s.rest), gathered)), 0
		if in.waiting {
			s.hurry()
		}
		return
	}
	if s.over {
		s.wake()
	}
}

func (s *Stream) gather(p []byte) int {
	in, pool := s.inbox, s.conn.options.Pool
	if in.have == len(*in.coming) {
		more := pool.Get(min(in.have+int(s.rest), 2*in.have))
		copy(*more, *in.coming)
		pool.Put(in.coming)
		in.coming = more
	}
	n := copy((*in.coming)[in.have:], p)
	in.have += n
	s.rest -= uint32(n)
	return n
}

// complete hands the message on that has come.
func (s *Stream) complete() {
	in := s.inbox
	m := parcel{data: in.coming, compressed: s.prefix[0] == 1, owed: in.owed}
	in.coming, in.owed, in.hurried, s.got = nil, 0, false, 0
	if in.waiting && in.handler != nil && len(in.queue) == 0 {
		s.handle(m)
		return
	}
	in.queue = append(in.queue, m)
	if in.waiting && !in.listed {
		in.listed = true
		s.next, s.conn.walker.wake = s.conn.walker.wake, s
	}
}

// handle lets the handler have a message. Whoever waits takes over with the
// first one that it is not done with.
func (s *Stream) handle(m parcel) {
	in := s.inbox
	b, err := m.open(s.conn.options)
	if err != nil {
		s.spoil(err)
		s.wake()
		return
	}
	s.consume(m.owed)
	if in.handler(b) {
		b.Free()
		return
	}
	in.left, in.waiting = b, false
	s.wake()
}

// hurry gives the window back for a message as it comes, if it is so large
// that the rest could not come otherwise. That is done only while everything
// before it has been received.
func (s *Stream) hurry() {
	in := s.inbox
	if in.coming != nil && len(in.queue) == 0 && uint32(in.have)+s.rest > s.conn.options.StreamWindow/4 {
		in.hurried = true
		s.settle()
	}
}

func (s *Stream) settle() {
	s.consume(s.inbox.owed)
	s.inbox.owed = 0
}

// wake lets whoever waits look again. Nobody does before Divert.
func (s *Stream) wake() {
	if s.inbox == nil {
		return
	}
	select {
	case s.inbox.ready <- struct{}{}:
	default:
	}
}

// notify is wake for a stream in the walker's list.
func (s *Stream) notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inbox.listed = false
	s.wake()
}
