//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package kubernetes

import (
	"errors"
	"os"
)

// tryLock is for systems with flock(2).
func tryLock(*os.File) (held bool, err error) { return false, errors.ErrUnsupported }
