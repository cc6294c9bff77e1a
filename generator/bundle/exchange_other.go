//go:build !linux

package bundle

import (
	"errors"
	"os"
)

func exchange(_, _ string) error { return errors.ErrUnsupported }

// waitLock is for Linux, where instances run; elsewhere people render by hand.
func waitLock(*os.File) error { return nil }
