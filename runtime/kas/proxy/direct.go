package proxy

import (
	"net"
	"syscall"

	"kasgen/runtime/kas/wire"
	"kasgen/runtime/sniff"
	"kasgen/runtime/socket"
)

// direct writes to a client's socket without waiting. It serves the goroutine
// that reads the agent's connection, which has others to read for.
type direct struct {
	stream *stream
	socket syscall.RawConn
	try    func(fd uintptr) bool // write, bound once
	data   []byte
	n      int
}

// direct is what passes frames on where the client's socket is written to as
// it is, and nil elsewhere.
func (s *stream) direct() func(*wire.Frame) bool {
	tcp, ok := sniff.Below(s.conn).(*net.TCPConn)
	if !ok {
		return nil
	}
	socket, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	d := &direct{stream: s, socket: socket}
	d.try = d.write
	return d.pass
}

// pass writes a frame of upgraded bytes, or the beginning of it. The rest, and
// everything else, is down's, as are errors: it meets the same ones.
func (d *direct) pass(f *wire.Frame) bool {
	s := d.stream
	if !f.IsData() || !f.Upgrade || !s.answer.ended {
		return false
	}
	data, whole := f.Bytes()
	if !whole || s.moveDeadline() != nil {
		return false
	}
	if len(data) == 0 {
		return true
	}
	s.wrote.Add(1)
	defer s.wrote.Add(1)
	d.data, d.n = data, 0
	err := d.socket.Write(d.try)
	d.data = nil
	f.Skip(d.n)
	return err == nil && f.Len() == 0
}

func (d *direct) write(fd uintptr) bool {
	d.n, _ = socket.Write(fd, d.data) // down finds the same error
	return true
}
