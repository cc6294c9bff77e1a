package balancer

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// pipeSize asks for a pipe that takes a whole receive queue at once.
	pipeSize = 256 << 10
	// keptPipes bounds the pipes that wait for reuse: only directions with
	// bytes on their way hold one.
	keptPipes = 32
	spliceMax = 1 << 20
)

// pipes keeps pipes between uses.
type pipes struct{ free chan *pipe }

type pipe struct{ r, w int }

func newPipes() *pipes { return &pipes{free: make(chan *pipe, keptPipes)} }

func (ps *pipes) get() (*pipe, error) {
	select {
	case p := <-ps.free:
		return p, nil
	default:
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	// A user out of pipe pages keeps the default size, which works too.
	_, _ = unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, pipeSize)
	return &pipe{r: fds[0], w: fds[1]}, nil
}

// put takes back an empty pipe.
func (ps *pipes) put(p *pipe) {
	select {
	case ps.free <- p:
	default:
		p.close()
	}
}

func (p *pipe) close() {
	_ = unix.Close(p.r)
	_ = unix.Close(p.w)
}

func (ps *pipes) close() {
	for {
		select {
		case p := <-ps.free:
			p.close()
		default:
			return
		}
	}
}

// splicer is one direction inside the kernel. It does what io.Copy between
// two TCP connections does, and no more than that, but holds a pipe only
// while bytes are in it (io.Copy keeps one, of two descriptors, through every
// idle hour) and tells when they moved.
type splicer struct {
	relay    *relay
	src, dst *side
	pipe     *pipe
	n        int // bytes in the pipe
	moved    int // bytes that left it
	err      error
}

// splice moves src to dst until its end. It reports false, having moved
// nothing, where the kernel cannot.
func (r *relay) splice(src, dst *side, moved *int64) (bool, error) {
	in, err := src.tcp.SyscallConn()
	if err != nil {
		return true, err
	}
	out, err := dst.tcp.SyscallConn()
	if err != nil {
		return true, err
	}
	s := &splicer{relay: r, src: src, dst: dst}
	fill, drain := s.fill, s.drain
	stats := &r.session.server.stats
	for {
		if err := in.Read(fill); err != nil {
			s.release()
			return true, err
		}
		if s.err != nil {
			s.release()
			return !errors.Is(s.err, unix.EINVAL), os.NewSyscallError("splice", s.err)
		}
		if s.n == 0 {
			s.release()
			return true, io.EOF
		}
		src.last.Store(r.now())
		s.moved = 0
		dst.writing.Store(true)
		err := out.Write(drain)
		dst.writing.Store(false)
		*moved += int64(s.moved)
		stats.spliced.Add(int64(s.moved))
		if err == nil {
			err = s.err
		}
		if err != nil {
			s.release()
			return true, writeError{err}
		}
	}
}

// fill waits for bytes of src and takes them into a pipe.
func (s *splicer) fill(fd uintptr) bool {
	if s.pipe == nil {
		if s.pipe, s.err = s.relay.session.server.pipes.get(); s.err != nil {
			return true
		}
	}
	n, err := spliceRetry(int(fd), s.pipe.w, spliceMax)
	if errors.Is(err, unix.EAGAIN) {
		s.release()
		return false
	}
	s.n, s.err = n, err
	return true
}

// drain gives the pipe's bytes to dst, waiting where it takes no more.
func (s *splicer) drain(fd uintptr) bool {
	for s.n > 0 {
		n, err := spliceRetry(s.pipe.r, int(fd), s.n)
		if errors.Is(err, unix.EAGAIN) {
			return false
		}
		if err != nil {
			s.err = err
			return true
		}
		s.n -= n
		s.moved += n
		s.dst.last.Store(s.relay.now())
	}
	return true
}

// release gives the pipe back, or closes it with the bytes that nobody will
// take.
func (s *splicer) release() {
	if s.pipe == nil {
		return
	}
	if s.n > 0 {
		s.pipe.close()
	} else {
		s.relay.session.server.pipes.put(s.pipe)
	}
	s.pipe = nil
}

func spliceRetry(from, to, size int) (int, error) {
	for {
		n, err := unix.Splice(from, nil, to, nil, size, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		if !errors.Is(err, unix.EINTR) {
			return int(max(n, 0)), err
		}
	}
}
