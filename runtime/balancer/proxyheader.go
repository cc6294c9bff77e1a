package balancer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// The PROXY protocol: https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt

const (
	proxyV2Signature = "\r\n\r\n\x00\r\nQUIT\n"
	// maxProxyV1 is the longest version 1 header, newline included.
	maxProxyV1 = 107
	// maxProxyV2 bounds the addresses and TLVs of version 2; senders stay
	// below 536 bytes so that the header fits into one segment.
	maxProxyV2 = 4096
)

var (
	errProxyMore = errors.New("the PROXY header is not complete")
	errProxyNone = errors.New("the first bytes are no PROXY header")
)

// proxyHeader is what a header says: the ends of the client's connection, or
// none where the sender speaks for itself.
type proxyHeader struct {
	source, destination netip.AddrPort
}

// parseProxy reads a header at the beginning of b and tells its length.
func parseProxy(b []byte) (proxyHeader, int, error) {
	if hasPrefixSoFar(b, proxyV2Signature) {
		if len(b) < len(proxyV2Signature)+4 {
			return proxyHeader{}, 0, errProxyMore
		}
		return parseProxyV2(b)
	}
	if hasPrefixSoFar(b, "PROXY ") {
		return parseProxyV1(b)
	}
	return proxyHeader{}, 0, errProxyNone
}

func hasPrefixSoFar(b []byte, prefix string) bool {
	n := min(len(b), len(prefix))
	return string(b[:n]) == prefix[:n]
}

func parseProxyV1(b []byte) (proxyHeader, int, error) {
	end := bytes.Index(b[:min(len(b), maxProxyV1)], []byte("\r\n"))
	if end < 0 {
		if len(b) >= maxProxyV1 {
			return proxyHeader{}, 0, errProxyNone
		}
		return proxyHeader{}, 0, errProxyMore
	}
	fields := strings.Split(string(b[:end]), " ")
	if len(fields) >= 2 && fields[1] == "UNKNOWN" {
		return proxyHeader{}, end + 2, nil
	}
	if len(fields) != 6 || fields[1] != "TCP4" && fields[1] != "TCP6" {
		return proxyHeader{}, 0, errProxyNone
	}
	source, err1 := proxyAddress(fields[2], fields[4], fields[1])
	destination, err2 := proxyAddress(fields[3], fields[5], fields[1])
	if err := errors.Join(err1, err2); err != nil {
		return proxyHeader{}, 0, fmt.Errorf("%w: %w", errProxyNone, err)
	}
	return proxyHeader{source: source, destination: destination}, end + 2, nil
}

func proxyAddress(host, port, family string) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if a.Is4() != (family == "TCP4") || a.Zone() != "" {
		return netip.AddrPort{}, fmt.Errorf("%s is no %s address", host, family)
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(a, uint16(p)), nil
}

func parseProxyV2(b []byte) (proxyHeader, int, error) {
	command, family := b[12], b[13]
	size := int(binary.BigEndian.Uint16(b[14:]))
	if command>>4 != 2 || command&0xf > 1 || size > maxProxyV2 {
		return proxyHeader{}, 0, errProxyNone
	}
	end := 16 + size
	if len(b) < end {
		return proxyHeader{}, 0, errProxyMore
	}
	if command&0xf == 0 { // LOCAL: a health check of the sender
		return proxyHeader{}, end, nil
	}
	width := 0
	switch family {
	case 0x11:
		width = 4
	case 0x21:
		width = 16
	case 0x00, 0x12, 0x22, 0x31, 0x32:
		return proxyHeader{}, end, nil // addresses that TCP clients do not have
	default:
		return proxyHeader{}, 0, errProxyNone
	}
	if size < 2*width+4 {
		return proxyHeader{}, 0, errProxyNone
	}
	body := b[16:end]
	source, _ := netip.AddrFromSlice(body[:width])
	destination, _ := netip.AddrFromSlice(body[width : 2*width])
	ports := body[2*width:]
	return proxyHeader{
		source:      netip.AddrPortFrom(source, binary.BigEndian.Uint16(ports)),
		destination: netip.AddrPortFrom(destination, binary.BigEndian.Uint16(ports[2:])),
	}, end, nil
}

// appendProxy writes a header of version 1 or 2. A header without addresses,
// as for a health check, is UNKNOWN or LOCAL.
func appendProxy(b []byte, version int, h proxyHeader) []byte {
	known := h.source.IsValid() && h.destination.IsValid()
	source, destination := h.source.Addr().Unmap(), h.destination.Addr().Unmap()
	four := source.Is4() && destination.Is4()
	if version == 1 {
		if !known {
			return append(b, "PROXY UNKNOWN\r\n"...)
		}
		family := "TCP4"
		if !four {
			family = "TCP6"
			source, destination = netip.AddrFrom16(source.As16()), netip.AddrFrom16(destination.As16())
		}
		return fmt.Appendf(b, "PROXY %s %s %s %d %d\r\n", family, source.WithZone(""), destination.WithZone(""), h.source.Port(), h.destination.Port())
	}
	b = append(b, proxyV2Signature...)
	switch {
	case !known:
		return append(b, 0x20, 0x00, 0, 0)
	case four:
		s, d := source.As4(), destination.As4()
		b = append(b, 0x21, 0x11, 0, 12)
		b = append(append(b, s[:]...), d[:]...)
	default:
		s, d := source.As16(), destination.As16()
		b = append(b, 0x21, 0x21, 0, 36)
		b = append(append(b, s[:]...), d[:]...)
	}
	b = binary.BigEndian.AppendUint16(b, h.source.Port())
	return binary.BigEndian.AppendUint16(b, h.destination.Port())
}
