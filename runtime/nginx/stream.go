package nginx

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"kasgen/internal/nginxconf"
	"kasgen/runtime/balancer"
	"kasgen/runtime/nginx/directive"
	"kasgen/runtime/nginx/upstream"
)

// stream reads the block: first what others refer to, then what applies to
// every server wherever it is written, then the servers.
func (l *loader) stream(d *nginxconf.Directive) {
	l.maps, l.upstreams = map[string]*streamMap{}, map[string]*upstream.Upstream{}
	upstreams := upstream.Reader{Reader: &l.Reader}
	base := defaults()
	top := scope{settings: &base, seen: map[string]bool{}}
	var servers []*nginxconf.Directive
	for _, s := range d.Block.Directives {
		switch s.Name.Value {
		case "map":
			l.declare(s)
		case "upstream":
			upstreams.Read(s, l.upstreams)
		case "server":
			servers = append(servers, s)
		case "log_format":
			l.Simple(s, 2, -1) // the log's form is the host's
		default:
			if !l.setting(top, s) {
				l.Unknown(s.Name, "stream", append(settingNames[:len(settingNames):len(settingNames)], "map", "upstream", "server", "log_format"))
			}
		}
	}
	for _, name := range sortedKeys(l.upstreams) {
		l.config.Pools = append(l.config.Pools, l.upstreams[name].Pool)
	}
	for _, name := range sortedKeys(l.maps) {
		l.read(l.maps[name])
	}
	l.loops()
	for _, s := range servers {
		l.server(s, base)
	}
	if len(servers) == 0 {
		l.Add(directive.Incomplete, d.Name.Pos, "stream{} has no server", "nothing would listen", "add a server block")
	}
}

func (l *loader) server(d *nginxconf.Directive, inherited settings) {
	if !l.Block(d, 0, 0) {
		return
	}
	own := scope{settings: &inherited, seen: map[string]bool{}}
	var listens []*nginxconf.Directive
	var pass *nginxconf.Directive
	for _, s := range d.Block.Directives {
		switch s.Name.Value {
		case "listen":
			if l.Simple(s, 1, -1) {
				listens = append(listens, s)
			}
		case "proxy_pass":
			if pass != nil {
				l.Add(directive.Duplicate, s.Name.Pos, `"proxy_pass" is duplicate`, "nginx takes it once in a server", "remove one of them")
			}
			if l.Simple(s, 1, 1) {
				pass = s
			}
		default:
			if !l.setting(own, s) {
				l.Unknown(s.Name, "server", append(settingNames[:len(settingNames):len(settingNames)], "listen", "proxy_pass"))
			}
		}
	}
	s := own.settings
	f := &balancer.Frontend{
		Header: s.headerTimeout, Handshake: s.handshake, Inspect: s.prereadTimeout, Peek: s.prereadSize,
		Idle: s.idle, LogConnections: s.log,
	}
	for _, listen := range listens {
		l.listen(f, s, listen)
	}
	if len(f.Binds) > 0 {
		f.Name = f.Binds[0].Address
	}
	if len(listens) == 0 {
		l.Add(directive.Incomplete, d.Name.Pos, `no "listen" is defined for the server`, "no client can reach it", "add a listen line")
	}
	if pass == nil {
		l.Add(directive.Incomplete, d.Name.Pos, "no proxy_pass in the server", "a client would have nowhere to go", "add a proxy_pass line")
		return
	}
	l.route(f, s, pass.Args[0])
	l.config.Frontends = append(l.config.Frontends, f)
}

// route is the preread phase and proxy_pass.
func (l *loader) route(f *balancer.Frontend, s *settings, to nginxconf.Word) {
	backends := map[string]*balancer.Backend{}
	possible, known := l.outcomes(to)
	if !known {
		for _, p := range l.Parts(to) {
			if p.Variable != "" && l.variable(p.Variable, to) == nil {
				return
			}
		}
		l.Unsupported(to, "where clients may go must be known before one comes: proxy_pass takes a name, an address, or the variable of a map", "make a map from the variable to upstreams")
		return
	}
	for _, w := range possible {
		if w.Value != "" && backends[w.Value] == nil {
			backends[w.Value] = l.backend(s, w)
		}
	}
	choose := l.value(to)
	preread := s.preread
	f.Route = func(v *balancer.View) balancer.Decision {
		if preread {
			switch _, state := v.Hello(); {
			case state != balancer.HelloMore:
			case v.Final():
				return balancer.Decision{Cause: balancer.CauseNoData}
			default:
				return balancer.Decision{Wait: true}
			}
		}
		return balancer.Decision{Backend: backends[choose(v)], Cause: balancer.CauseNoBackend}
	}
}

func (l *loader) backend(s *settings, w nginxconf.Word) *balancer.Backend {
	b := &balancer.Backend{
		Name: w.Value, Connect: s.connect, Idle: s.idle, OneTimer: true, HalfClose: s.halfClose,
		Retry: balancer.Retry{Retries: s.nextTries - 1, TryOnce: true, Total: s.nextTimeout},
	}
	if !s.nextUpstream {
		b.Retry.Retries = 0
	}
	if s.sendProxy {
		b.SendProxy = 1
	}
	if s.keepAlive {
		b.KeepAlive = directive.SystemKeepAlive()
	}
	if up := l.upstreams[w.Value]; up != nil {
		b.Pool = up.Pool
		return b
	}
	if err := upstream.CheckAddress(w.Value); err != nil {
		l.Reference(w, fmt.Sprintf("%q is neither an upstream nor an address (%v)", w.Value, err), w.Value, sortedKeys(l.upstreams))
	}
	b.Pool = balancer.NewPool(w.Value, balancer.RoundRobin, false, []*balancer.Peer{upstream.NewPeer(w.Value)})
	l.config.Pools = append(l.config.Pools, b.Pool)
	return b
}

// listen reads an address and its parameters.
func (l *loader) listen(f *balancer.Frontend, s *settings, d *nginxconf.Directive) {
	at := d.Args[0]
	b := &balancer.Bind{Network: "tcp4", KeepLocal: true, Trusted: trusts(s.trusted)}
	host, port, err := splitListen(at.Value)
	if err != nil {
		l.Arguments(at, "%q is not an address to listen on: %v", at.Value, err)
		return
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		l.Add(directive.Arguments, at.Pos, fmt.Sprintf("%q is not an IP address", host), "a name may mean another address tomorrow", "write the address itself")
		return
	}
	if ip.Is6() {
		b.Network = "tcp6" // ipv6only is on by default
	}
	b.Address = net.JoinHostPort(host, port)
	for _, other := range append(l.config.Frontends[:len(l.config.Frontends):len(l.config.Frontends)], f) {
		if slices.ContainsFunc(other.Binds, func(o *balancer.Bind) bool { return o.Address == b.Address }) {
			l.Add(directive.Duplicate, at.Pos, fmt.Sprintf("duplicate %q address and port pair", at.Value), "two servers cannot share a stream listener", "change one of the addresses")
		}
	}
	for _, w := range d.Args[1:] {
		l.listenParameter(b, s, w, ip)
	}
	f.Binds = append(f.Binds, b)
}

func (l *loader) listenParameter(b *balancer.Bind, s *settings, w nginxconf.Word, ip netip.Addr) {
	key, text, _ := strings.Cut(w.Value, "=")
	switch key {
	case "proxy_protocol":
		b.AcceptProxy = true
	case "ssl":
		b.TLS = l.terms(s, w)
	case "reuseport", "bind":
		// How the kernel spreads clients over nginx's processes.
	case "backlog":
		l.Number(w, text, -1, 1<<30) // Go asks for the kernel's maximum
	case "ipv6only":
		if !ip.Is6() || text != "on" && text != "off" {
			l.Arguments(w, "%q does not fit", w.Value)
		} else if text == "off" {
			b.Network = "tcp"
		}
	case "so_keepalive":
		b.KeepAlive = l.KeepAlive(w, text)
	default:
		l.Unknown(w, "listen", []string{"proxy_protocol", "ssl", "reuseport", "backlog=", "so_keepalive=", "ipv6only="})
	}
}

// splitListen knows PORT, ADDRESS:PORT and *:PORT.
func splitListen(text string) (host, port string, err error) {
	if !strings.Contains(text, ":") {
		text = "*:" + text
	}
	if err := upstream.CheckAddress(text); err != nil {
		return "", "", err
	}
	host, port, err = net.SplitHostPort(text)
	if host == "*" {
		host = "0.0.0.0"
	}
	return host, port, err
}

// trusts is set_real_ip_from: without one, nobody's header replaces the
// client's address.
func trusts(nets []netip.Prefix) func(netip.Addr) bool {
	return func(a netip.Addr) bool {
		return slices.ContainsFunc(nets, func(p netip.Prefix) bool { return p.Contains(a) })
	}
}
