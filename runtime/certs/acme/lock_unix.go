//go:build unix

package acme

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lock says whether f is ours alone; it does not wait.
func lock(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
		return false, nil
	}
	return err == nil, err
}
