package bundle

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// exchange swaps two directories in one step (renameat2(2)).
func exchange(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("exchanging %s and %s: %w", a, b, errors.ErrUnsupported) // the file system cannot
	case err != nil:
		return fmt.Errorf("exchanging %s and %s: %w", a, b, err)
	}
	return nil
}

// waitLock waits until nobody else holds the lock of f; writers hold it for
// milliseconds.
func waitLock(f *os.File) error {
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
