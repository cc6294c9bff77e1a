package vhost

import (
	"net/netip"
	"slices"
	"strings"
)

// realIP is where a client's address comes from behind a balancer.
type realIP struct {
	trusted   []netip.Prefix
	header    string // canonical, or proxyProtocol
	recursive bool
}

const proxyProtocol = "proxy_protocol"

func (o *realIP) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(o.trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}

// realIP takes the client's address from the header that says it, if whoever
// sent it may say so: the last entry, or recursively the last one that is of
// nobody who is trusted.
func (q *request) realIP() {
	o := &q.settings.realIP
	if len(o.trusted) == 0 {
		return
	}
	var stated []string
	switch o.header {
	case proxyProtocol:
		if q.source.IsValid() && o.trusts(q.remote.Addr()) {
			q.remote = q.source
		}
		return
	case "X-Forwarded-For":
		stated = q.r.Header["X-Forwarded-For"]
	default:
		if v := q.r.Header[o.header]; len(v) > 0 {
			stated = v[:1]
		}
	}
	var entries []string
	for _, v := range stated {
		entries = append(entries, strings.FieldsFunc(v, func(r rune) bool { return r == ' ' || r == ',' })...)
	}
	for _, e := range slices.Backward(entries) {
		if !o.trusts(q.remote.Addr()) {
			return
		}
		a, ok := parseClient(e)
		if !ok {
			return
		}
		q.remote = a
		if !o.recursive {
			return
		}
	}
}

// parseClient reads an address with or without a port.
func parseClient(s string) (netip.AddrPort, bool) {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return netip.AddrPortFrom(a.Unmap(), 0), true
	}
	a, err := netip.ParseAddrPort(s)
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), err == nil
}
