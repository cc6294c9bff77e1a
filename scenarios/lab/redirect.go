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
	host.Moves
	tell func(from, to string)

	mu    sync.Mutex
	paths []move // directories and files
	told  map[string]bool
}

type move struct{ from, to string }

// NewRedirect moves nothing yet. tell is called for each move, at most once.
func NewRedirect(tell func(from, to string)) *Redirect {
	return &Redirect{tell: tell, told: map[string]bool{}}
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
	listen := r.Listen(base.Listen)
	h.Listen = func(ctx context.Context, network, address string) (net.Listener, error) {
		ln, err := listen(ctx, network, address)
		if err == nil {
			r.once("listener "+address, ln.Addr().String())
		}
		return ln, err
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
	if to, ok := r.Moves.Address(address); ok {
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
