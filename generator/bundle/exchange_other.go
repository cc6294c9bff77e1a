//go:build !linux

package bundle

import (
	"errors"
	"os"
	"syscall"
)

func exchange(_, _ string) error { return errors.ErrUnsupported }

// tryLock is for Linux, where instances run; elsewhere people render by hand.
func tryLock(*os.File) (held bool, err error) { return true, nil }

func release(*os.File) error { return nil }

func notDirectory(err error) bool {
	return errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}
