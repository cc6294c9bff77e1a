package runtime

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"

	"kasgen/runtime/host"
)

// Remap is which ports of the front listen elsewhere: from the port in the
// file to the one that is opened. It is for machines where ports below 1024
// cannot be bound.
type Remap map[uint16]uint16

// ParseRemap reads "443=8443,80=8080". A target of 0 is a free port.
func ParseRemap(s string) (Remap, error) {
	m := Remap{}
	if s == "" {
		return m, nil
	}
	for pair := range strings.SplitSeq(s, ",") {
		from, to, ok := strings.Cut(pair, "=")
		f, errFrom := strconv.ParseUint(from, 10, 16)
		t, errTo := strconv.ParseUint(to, 10, 16)
		if !ok || errFrom != nil || errTo != nil || f == 0 {
			return nil, fmt.Errorf("%q is not of the form PORT=PORT, as in 443=8443", pair)
		}
		if _, twice := m[uint16(f)]; twice {
			return nil, fmt.Errorf("port %d is moved twice", f)
		}
		m[uint16(f)] = uint16(t)
	}
	return m, nil
}

// Unused are the ports of m that none of the addresses has.
func (m Remap) Unused(addresses []string) []uint16 {
	left := map[uint16]bool{}
	for p := range m {
		left[p] = true
	}
	for _, a := range addresses {
		if p, ok := port(a); ok {
			delete(left, p)
		}
	}
	var unused []uint16
	for p := range left {
		unused = append(unused, p)
	}
	slices.Sort(unused)
	return unused
}

// unused are the ports of m on which the front of b does not listen.
func (m Remap) unused(b *Bundle) []uint16 {
	if len(m) == 0 {
		return nil
	}
	return m.Unused(b.frontBinds())
}

func port(address string) (uint16, bool) {
	_, p, err := net.SplitHostPort(address)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(p, 10, 16)
	return uint16(n), err == nil
}

// Host is h with listeners moved. Each move is logged.
func (m Remap) Host(h *host.Host) *host.Host {
	moved := *h
	moved.Listen = func(ctx context.Context, network, address string) (net.Listener, error) {
		p, ok := port(address)
		to, move := m[p]
		if !ok || !move {
			return h.Listen(ctx, network, address)
		}
		name, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		ln, err := h.Listen(ctx, network, net.JoinHostPort(name, strconv.Itoa(int(to))))
		if err == nil {
			h.Log.Info("a listener of the front is moved; the real balancer would open the file's port",
				slog.String("file", address), slog.String("listening", ln.Addr().String()))
		}
		return ln, err
	}
	return &moved
}
