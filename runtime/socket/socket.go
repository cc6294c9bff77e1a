// Package socket reads and writes sockets that are ready, without telling the
// scheduler: a call that cannot wait needs no other thread to stand in for it,
// and the thread that watches over those that can, which a process wakes with
// its first such call after each pause, costs as much as the call. The package
// knows descriptors only. Its law: nothing here waits.
package socket

import (
	"errors"
	"syscall"
)

// Read reads what is there from a descriptor that does not block.
// syscall.EAGAIN says that there is nothing.
func Read(fd uintptr, p []byte) (int, error) { return again(read, fd, p) }

// Write writes what there is room for to a descriptor that does not block.
// syscall.EAGAIN says that there is none.
func Write(fd uintptr, p []byte) (int, error) { return again(write, fd, p) }

// again repeats a call that a signal has interrupted.
func again(call func(uintptr, []byte) (int, error), fd uintptr, p []byte) (int, error) {
	for {
		n, err := call(fd, p)
		if !errors.Is(err, syscall.EINTR) {
			return max(n, 0), err
		}
	}
}
