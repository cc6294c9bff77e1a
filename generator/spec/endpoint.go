package spec

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
)

// endpoint is a host:port taken apart.
type endpoint struct {
	host string
	port uint16
	addr netip.Addr // zero where host is a name or empty
}

// parseEndpoint takes a host:port apart.
func parseEndpoint(s string) (endpoint, error) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return endpoint{}, errors.New("it must be host:port, with an IPv6 address in brackets")
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return endpoint{}, errors.New("its port must be a number from 1 to 65535")
	}
	e := endpoint{host: host, port: uint16(port)}
	if host == "" {
		return e, nil
	}
	if e.addr, err = netip.ParseAddr(host); err != nil && !isName(host) {
		return endpoint{}, errors.New("its host must be an IP address or a host name in lower case")
	}
	return e, nil
}

// wildcard says whether e is every address of the machine.
func (e endpoint) wildcard() bool { return e.host == "" || e.addr.IsValid() && e.addr.IsUnspecified() }

// loopback says whether only this machine reaches e.
func (e endpoint) loopback() bool {
	return e.host == "localhost" || e.addr.IsValid() && e.addr.Unmap().IsLoopback()
}

// listener is a socket that somebody on this machine opens.
type listener struct {
	field, text string
	endpoint
	only6 bool // [::] leaves IPv4 alone, as balancers are told to
}

// overlaps says whether l and m cannot both be opened.
func (l listener) overlaps(m listener) bool {
	if l.port != m.port {
		return false
	}
	if !l.wildcard() && !m.wildcard() {
		if l.addr.IsValid() && m.addr.IsValid() {
			return l.addr.Unmap() == m.addr.Unmap()
		}
		return l.host == m.host || l.loopback() && m.loopback()
	}
	l4, l6 := l.families()
	m4, m6 := m.families()
	return l4 && m4 || l6 && m6
}

// families says which address families l takes a port in.
func (l listener) families() (four, six bool) {
	switch {
	case l.host == "" || !l.addr.IsValid():
		return true, true
	case l.addr.Unmap().Is4():
		return true, false
	case l.addr.IsUnspecified() && !l.only6:
		return true, true // Linux opens [::] for both
	default:
		return false, true
	}
}
