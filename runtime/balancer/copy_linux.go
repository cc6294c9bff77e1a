package balancer

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// copyTCP reads from a socket into a buffer that it holds only while there
// are bytes.
func (r *relay) copyTCP(src, dst *side, moved *int64) (bool, error) {
	in, err := src.tcp.SyscallConn()
	if err != nil {
		return true, err
	}
	pool := &r.session.server.buffers
	var buffer *[]byte
	var n int
	var failed error
	fill := func(fd uintptr) bool {
		if buffer == nil {
			buffer = pool.Get().(*[]byte)
		}
		for {
			n, failed = unix.Read(int(fd), *buffer)
			if !errors.Is(failed, unix.EINTR) {
				break
			}
		}
		if errors.Is(failed, unix.EAGAIN) {
			pool.Put(buffer)
			buffer = nil
			return false
		}
		return true
	}
	defer func() {
		if buffer != nil {
			pool.Put(buffer)
		}
	}()
	for {
		if err := in.Read(fill); err != nil {
			return true, err
		}
		if failed != nil {
			return true, os.NewSyscallError("read", failed)
		}
		if n == 0 {
			return true, io.EOF
		}
		if err := r.write(src, dst, moved, (*buffer)[:n]); err != nil {
			return true, err
		}
	}
}
