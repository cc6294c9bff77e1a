//go:build !unix

package acme

import (
	"errors"
	"os"
)

// lock is not possible here.
func lock(*os.File) (bool, error) {
	return false, errors.New("a directory cannot be shared on this system")
}
