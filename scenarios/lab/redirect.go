package lab

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"

	"kasgen/runtime/host"
)

// Redirect moves what a bundle's files name to places that a lab may use: any
// listener to a free port on loopback, names to the lab's own servers, paths to
// a scratch directory. The files stay as they are; each move is told once.
type Redirect struct {
	tell func(from, to string)

	mu    sync.Mutex
	ports []move            // listeners, in the order in which they were opened
	names map[string]string // host:port elsewhere to host:port here
	paths []move            // directories and files
	told  map[string]bool
}

type move struct{ from, to string }

// NewRedirect moves nothing yet. tell is called for each move, at most once.
func NewRedirect(tell func(from, to string)) *Redirect {
	return &Redirect{tell: tell, names: map[string]string{}, told: map[string]bool{}}
}

// Name sends dials of host:port to address.
func (r *Redirect) Name(hostport, address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names[hostport] = address
}

// Path moves a file, or everything below a directory.
func (r *Redirect) Path(from, to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paths = append(r.paths, move{from, to})
}

// Host is base with the moves in force.
func (r *Redirect) Host(base *host.Host) *host.Host {
	h := *base
	h.Listen = func(ctx context.Context, network, address string) (net.Listener, error) {
		ln, err := base.Listen(ctx, network, "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		r.mu.Lock()
		r.ports = append(r.ports, move{address, ln.Addr().String()})
		r.mu.Unlock()
		r.once("listener "+address, ln.Addr().String())
		return ln, nil
	}
	h.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		to, err := r.Address(address)
		if err != nil {
			return nil, err
		}
		return base.Dial(ctx, network, to)
	}
	h.Path = r.File
	h.ReadFile = func(path string) ([]byte, error) { return base.ReadFile(r.File(path)) }
	return &h
}

// Address is where a dial of host:port goes. An address that the lab does not
// have is an error: a lab never leaves the machine.
func (r *Redirect) Address(address string) (string, error) {
	r.mu.Lock()
	to, ok := r.names[address]
	if !ok {
		to, ok = r.listener(address)
	}
	r.mu.Unlock()
	if ok {
		r.once("address "+address, to)
		return to, nil
	}
	if name, _, err := net.SplitHostPort(address); err == nil {
		if ip := net.ParseIP(name); ip != nil && ip.IsLoopback() {
			return address, nil
		}
	}
	return "", fmt.Errorf("the lab has nothing at %s, and dials no address outside this machine", address)
}

// listener finds the moved listener for an address: the very one, or else the
// first one on that port.
func (r *Redirect) listener(address string) (string, bool) {
	for _, m := range r.ports {
		if m.from == address {
			return m.to, true
		}
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", false
	}
	for _, m := range r.ports {
		if _, p, err := net.SplitHostPort(m.from); err == nil && p == port {
			return m.to, true
		}
	}
	return "", false
}

// File is where a file lies: one that is moved by itself goes there, and not
// where its directory went.
func (r *Redirect) File(path string) string {
	r.mu.Lock()
	to := r.moved(path)
	r.mu.Unlock()
	if to != path {
		r.once("file "+path, to)
	}
	return to
}

func (r *Redirect) moved(path string) string {
	for _, m := range r.paths {
		if path == m.from {
			return m.to
		}
	}
	for _, m := range r.paths {
		if rest, ok := strings.CutPrefix(path, strings.TrimSuffix(m.from, "/")+"/"); ok {
			return filepath.Join(m.to, rest)
		}
	}
	return path
}

func (r *Redirect) once(from, to string) {
	r.mu.Lock()
	told := r.told[from]
	r.told[from] = true
	r.mu.Unlock()
	if !told {
		r.tell(from, to)
	}
}
