//go:build !unix

package host

import (
	"errors"
	"net"
)

// Duplicate is not possible here.
func Duplicate(net.Listener) (net.Listener, error) {
	return nil, errors.New("sockets cannot be kept on this system")
}
