//go:build unix

package host

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Duplicate is another descriptor of the same socket. It is not the listener's
// own File, which makes the socket block for a moment, for its first owner too:
// an accept in that moment would hold up the owner's Close.
func Duplicate(ln net.Listener) (net.Listener, error) {
	l, ok := ln.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("a %T has no descriptor", ln)
	}
	raw, err := l.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, failed := -1, error(nil)
	err = raw.Control(func(n uintptr) { fd, failed = unix.FcntlInt(n, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), ln.Addr().String())
	defer func() { _ = f.Close() }() // the listener has one of its own
	return net.FileListener(f)
}
