package vhost

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"kasgen/internal/diag"
	"kasgen/internal/nginxconf"
	"kasgen/runtime/nginx/directive"
)

// listen is an address and how it is listened on.
type listen struct {
	network, address  string
	pos               diag.Pos
	ssl, http2, proxy bool
	keepAlive         *net.KeepAliveConfig
	options           bool // something was said that counts once for an address
}

// listen reads one line, and puts the server behind its address.
func (l *loader) listen(s *server, d *nginxconf.Directive) {
	at := d.Args[0]
	k := listen{network: "tcp4", pos: at.Pos}
	ip, port, err := address(at.Value)
	if err != nil {
		l.Arguments(at, "%q is not an address to listen on: %v", at.Value, err)
		return
	}
	if ip.Is6() {
		k.network = "tcp6" // ipv6only is on by default
	}
	k.address = net.JoinHostPort(ip.String(), port)
	isDefault := false
	for _, w := range d.Args[1:] {
		if w.Value == "default_server" || w.Value == "default" {
			isDefault = true
			continue
		}
		l.listenParameter(&k, w, ip)
	}
	for _, other := range l.config.sockets {
		if other.address == k.address {
			l.share(other, s, k, isDefault, at)
			return
		}
		l.overlap(other, k, at)
	}
	l.config.sockets = append(l.config.sockets, &socket{listen: k, servers: []*server{s}, explicit: isDefault})
}

// share puts one more server behind an address.
func (l *loader) share(k *socket, s *server, more listen, isDefault bool, at nginxconf.Word) {
	if slices.Contains(k.servers, s) {
		l.Add(directive.Duplicate, at.Pos, "a duplicate listen "+at.Value, "a server listens on an address once", "remove one of the lines")
		return
	}
	if k.options && more.options {
		l.Add(directive.Duplicate, at.Pos, "duplicate listen options for "+at.Value, "how a socket is opened can be said once", "write the options in one of the servers")
	}
	if more.options {
		k.keepAlive, k.network, k.options = more.keepAlive, more.network, true
	}
	k.ssl, k.http2, k.proxy = k.ssl || more.ssl, k.http2 || more.http2, k.proxy || more.proxy
	k.servers = append(k.servers, s)
	if isDefault {
		if k.explicit {
			l.Add(directive.Duplicate, at.Pos, "a duplicate default server for "+at.Value, "only one of them could be asked", "remove default_server from one of them")
		}
		k.explicit = true
		last := len(k.servers) - 1
		k.servers = slices.Insert(k.servers[:last:last], 0, s)
	}
}

// overlap refuses an address beside all addresses on one port: nginx has one
// socket for both.
func (l *loader) overlap(k *socket, more listen, at nginxconf.Word) {
	a, b := netip.MustParseAddrPort(k.address), netip.MustParseAddrPort(more.address)
	if a.Port() == b.Port() && a.Addr().Is6() == b.Addr().Is6() && (a.Addr().IsUnspecified() || b.Addr().IsUnspecified()) {
		l.Unsupported(at, fmt.Sprintf("%s and %s share a socket, which the embedded runtime does not do", k.address, more.address), "listen on all addresses, or on each by itself")
	}
}

func (l *loader) listenParameter(k *listen, w nginxconf.Word, ip netip.Addr) {
	key, value, _ := strings.Cut(w.Value, "=")
	switch key {
	case "ssl":
		k.ssl = true
	case "http2":
		k.http2 = true
	case "proxy_protocol":
		k.proxy = true
	case "reuseport", "deferred", "bind":
		k.options = true // how the kernel spreads clients over nginx's processes
	case "backlog", "rcvbuf", "sndbuf", "fastopen":
		k.options = true // Go asks for the kernel's maximum
		if key == "backlog" {
			l.Number(w, value, -1, 1<<30)
		} else {
			l.Size(nginxconf.Word{Value: value, Pos: w.Pos}, 0)
		}
	case "ipv6only":
		k.options = true
		if value != "on" && value != "off" {
			l.Arguments(w, "%q does not fit", w.Value)
		} else if value == "off" && ip.Is6() {
			k.network = "tcp"
		}
	case "so_keepalive":
		k.options, k.keepAlive = true, l.KeepAlive(w, value)
	default:
		l.Unknown(w, "listen", []string{"default_server", "ssl", "http2", "proxy_protocol", "reuseport", "backlog=", "so_keepalive=", "ipv6only=", "deferred", "bind"})
	}
}

// address knows PORT, ADDRESS, ADDRESS:PORT and *:PORT.
func address(text string) (ip netip.Addr, port string, err error) {
	host, port := text, "80"
	if _, err := strconv.Atoi(text); err == nil {
		host, port = "*", text
	} else if i := strings.LastIndexByte(text, ':'); i >= 0 && !strings.HasSuffix(text, "]") {
		host, port = text[:i], text[i+1:]
	}
	if host == "*" {
		host = "0.0.0.0"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return ip, "", fmt.Errorf("invalid port %q", port)
	}
	if strings.HasPrefix(text, "unix:") {
		return ip, "", fmt.Errorf("unix sockets are not supported")
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
	}
	if ip, err = netip.ParseAddr(host); err != nil {
		return ip, "", fmt.Errorf("%q is not an IP address: a name may mean another one tomorrow", host)
	}
	return ip, port, nil
}
