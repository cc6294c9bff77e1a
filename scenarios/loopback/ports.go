package loopback

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"

	"golang.org/x/sys/unix"
)

// Ports are kept from everybody who chooses a port in this way, in any process,
// while whoever knows them listens on them, as often as they like. The zero
// value keeps none.
type Ports struct {
	sockets []int
}

// Ports below those that Linux gives to whoever asks for any: between the
// choice and the use of a port no client and no other listener gets it.
const firstPort, lastPort = 16384, 32767

// tries is enough where all but one port in ten are taken.
const tries = 200

// Take chooses a free port of 127.0.0.1, as host:port. A socket is bound to it that never listens: who
// binds without SO_REUSEADDR, as the next choice does, is refused the port, and
// who binds with it, as servers do, is not.
func (p *Ports) Take() (string, error) {
	var last error
	for range tries {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		fd, err := bound(port)
		if err == nil {
			p.sockets = append(p.sockets, fd)
			return fmt.Sprintf("127.0.0.1:%d", port), nil
		}
		last = err
	}
	return "", fmt.Errorf("finding a free port: %w", last)
}

func bound(port int) (int, error) {
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, fmt.Errorf("making a socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return -1, errors.Join(fmt.Errorf("binding port %d: %w", port, err), unix.Close(fd))
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return -1, errors.Join(fmt.Errorf("sharing port %d: %w", port, err), unix.Close(fd))
	}
	return fd, nil
}

// Close gives the ports back.
func (p *Ports) Close() error {
	var fault error
	for _, fd := range p.sockets {
		fault = errors.Join(fault, unix.Close(fd))
	}
	p.sockets = nil
	return fault
}
