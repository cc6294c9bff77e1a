package runtime

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// moves is where the addresses in a bundle's files are while every listener is
// on a free port of loopback. What is not there is not dialled.
type moves struct {
	mu    sync.Mutex
	ports [][2]string // listeners, in the order in which they were opened
	names map[string]string
}

type (
	listenFunc = func(ctx context.Context, network, address string) (net.Listener, error)
	dialFunc   = func(ctx context.Context, network, address string) (net.Conn, error)
)

func (m *moves) name(hostport, address string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names == nil {
		m.names = map[string]string{}
	}
	m.names[hostport] = address
}

func (m *moves) listen(base listenFunc) listenFunc {
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

func (m *moves) dial(base dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		m.mu.Lock()
		to, ok := m.names[address]
		m.mu.Unlock()
		if !ok {
			to, ok = m.listener(address)
		}
		if !ok {
			return nil, fmt.Errorf("nothing of the bundle is at %s", address)
		}
		return base(ctx, network, to)
	}
}

// listener is the moved listener for an address: the very one, or else the
// first one on that port.
func (m *moves) listener(address string) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.ports {
		if p[0] == address {
			return p[1], true
		}
	}
	want, ok := port(address)
	for _, p := range m.ports {
		if got, is := port(p[0]); ok && is && got == want {
			return p[1], true
		}
	}
	return "", false
}
