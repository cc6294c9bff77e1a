package systemd

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"

	"kasgen/runtime/host"
)

// firstDescriptor is where inherited sockets begin (sd_listen_fds(3)).
const firstDescriptor = 3

// Sockets are listening sockets that the service manager has opened: ports
// below 1024 then need no privilege here.
type Sockets struct {
	mu     sync.Mutex
	socket []*socket
}

type socket struct {
	name  string // of the .socket unit, or what it says in FileDescriptorName
	ln    net.Listener
	taken bool
}

// Inherit takes the sockets that the environment speaks of, and takes them out
// of it, so that nobody who is started from here thinks them his.
func Inherit() (*Sockets, error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, v := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if err := os.Unsetenv(v); err != nil {
			return nil, err
		}
	}
	if pid != strconv.Itoa(os.Getpid()) {
		return &Sockets{}, nil // none, or another process's
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 {
		return nil, fmt.Errorf("LISTEN_FDS=%s is not a number of descriptors", count)
	}
	files := make([]*os.File, n)
	split := strings.Split(names, ":")
	for i := range files {
		name := ""
		if i < len(split) {
			name = split[i]
		}
		files[i] = os.NewFile(uintptr(firstDescriptor+i), name)
	}
	return FromFiles(files)
}

// FromFiles makes sockets of descriptors, and closes these.
func FromFiles(files []*os.File) (*Sockets, error) {
	s := &Sockets{}
	var failed error
	for i, f := range files {
		ln, err := net.FileListener(f)
		_ = f.Close() // a duplicate goes on
		if err != nil {
			failed = fmt.Errorf("descriptor %d (%s) from systemd is not a listening stream socket: %w", firstDescriptor+i, f.Name(), err)
			continue
		}
		s.socket = append(s.socket, &socket{name: f.Name(), ln: ln})
	}
	if failed != nil {
		s.Close()
		return nil, failed
	}
	return s, nil
}

// Listen gives the socket for an address, or else what next opens. A socket
// stays the manager's: it is given again when it is asked for again.
func (s *Sockets) Listen(next func(context.Context, string, string) (net.Listener, error)) func(context.Context, string, string) (net.Listener, error) {
	return func(ctx context.Context, network, address string) (net.Listener, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, k := range s.socket {
			if !serves(k.ln.Addr(), network, address) {
				continue
			}
			ln, err := host.Duplicate(k.ln)
			if err != nil {
				return nil, fmt.Errorf("taking the socket %s from systemd: %w", k.name, err)
			}
			k.taken = true
			return ln, nil
		}
		return next(ctx, network, address)
	}
}

// Unused are the sockets that nobody has asked for.
func (s *Sockets) Unused() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var unused []string
	for _, k := range s.socket {
		if !k.taken {
			unused = append(unused, fmt.Sprintf("%s (%s)", k.ln.Addr(), k.name))
		}
	}
	return unused
}

// Close gives the sockets up. The manager keeps its own descriptors of them.
func (s *Sockets) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.socket {
		k.ln.Close()
	}
}

// serves says whether a socket that listens at is what a file means by address.
func serves(at net.Addr, network, address string) bool {
	switch at := at.(type) {
	case *net.UnixAddr:
		return network == "unix" && at.Name == address
	case *net.TCPAddr:
		return strings.HasPrefix(network, "tcp") && servesTCP(at.AddrPort(), network, address)
	default:
		return false
	}
}

func servesTCP(at netip.AddrPort, network, address string) bool {
	wanted, err := net.ResolveTCPAddr(network, address)
	if err != nil || wanted.AddrPort().Port() != at.Port() {
		return false
	}
	have, want := at.Addr().Unmap(), wanted.AddrPort().Addr().Unmap()
	if !want.IsValid() { // ":443"
		return have.IsUnspecified() && (network == "tcp" || have.Is4() == (network == "tcp4"))
	}
	if want.IsUnspecified() && have.IsUnspecified() {
		// Go's tcp takes IPv6 and IPv4 on either wildcard.
		return network == "tcp" || have.Is4() == want.Is4()
	}
	return have == want
}
