package host

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// Moves is where the addresses in a bundle's files are while every listener is
// on a free port of loopback. Its zero value has moved nothing.
type Moves struct {
	mu    sync.Mutex
	ports [][2]string // listeners, in the order in which they were opened
	names map[string]string
}

type (
	listenFunc = func(ctx context.Context, network, address string) (net.Listener, error)
	dialFunc   = func(ctx context.Context, network, address string) (net.Conn, error)
)

// Name has host:port be at address, whatever listens.
func (m *Moves) Name(hostport, address string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names == nil {
		m.names = map[string]string{}
	}
	m.names[hostport] = address
}

// Listen opens each listener on a free port of loopback in place of its own.
func (m *Moves) Listen(base listenFunc) listenFunc {
	return func(ctx context.Context, network, address string) (net.Listener, error) {
		ln, err := base(ctx, network, "127.0.0.1:0")
		if err == nil {
			m.mu.Lock()
			m.ports = append(m.ports, [2]string{address, ln.Addr().String()})
			m.mu.Unlock()
		}
		return ln, err
	}
}

// Dial connects to where an address was moved; what was not is not dialled.
func (m *Moves) Dial(base dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		to, ok := m.Address(address)
		if !ok {
			return nil, fmt.Errorf("nothing of the bundle is at %s", address)
		}
		return base(ctx, network, to)
	}
}

// Address is where an address was moved: a name, the very listener, or else the
// first one on that port.
func (m *Moves) Address(address string) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if to, ok := m.names[address]; ok {
		return to, true
	}
	for _, p := range m.ports {
		if p[0] == address {
			return p[1], true
		}
	}
	_, want, err := net.SplitHostPort(address)
	if err != nil {
		return "", false
	}
	for _, p := range m.ports {
		if _, got, err := net.SplitHostPort(p[0]); err == nil && got == want {
			return p[1], true
		}
	}
	return "", false
}
