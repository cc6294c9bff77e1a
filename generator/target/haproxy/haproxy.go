// Package haproxy owns haproxy.cfg, the TCP balancer and the one for gRPC in
// HAProxy's syntax. It knows no spec. Its law: HAProxy 2.6 and later accept what it writes, and it
// writes only what the embedded balancer also does.
package haproxy

import (
	"fmt"
	"net"
	"strings"
	"time"

	"kasgen/generator/bundle"
	"kasgen/generator/target"
	"kasgen/generator/topology"
)

// Path is the file's name in a bundle.
const Path = "haproxy/haproxy.cfg"

// values is what the template places.
type values struct {
	Header                      string
	MaxConnections              int
	Streams                     int // at once of one HTTP/2 connection
	Drain, Connect, Idle, Sniff time.Duration
	Stop                        time.Duration // of what a stop or a reload leaves behind; 0: as long as it likes
	RequestHead, Keepalive      time.Duration
	Frontends                   []frontend
	HTTP2                       *balancer // nil: none
	Backends                    []backend
}

// balancer is the frontend that speaks HTTP/2.
type balancer struct {
	topology.HTTP2
	Binds []string
}

type frontend struct {
	topology.Frontend
	Binds []string
}

type backend struct {
	topology.Backend
	HTTP    bool
	Servers []string
}

// Render writes what HAProxy does in the topology.
func Render(t topology.Topology) ([]bundle.File, error) {
	v := values{
		Header: target.Header(t, "HAProxy"), Streams: target.Streams,
		Drain: t.Timeouts.Drain, Stop: t.Timeouts.Drain, Connect: t.Timeouts.Connect, Idle: t.Timeouts.Idle, Sniff: t.Timeouts.Sniff,
		RequestHead: t.Timeouts.Header, Keepalive: t.Timeouts.Keepalive,
	}
	if t.Front != nil && t.Front.Program == topology.HAProxy {
		v.MaxConnections = t.Front.MaxConnections
		for _, f := range t.Front.Frontends {
			v.Frontends = append(v.Frontends, frontend{Frontend: f, Binds: binds(f.Listen, f.AcceptProxy, f.TLS, "")})
		}
		for _, b := range t.Front.Backends {
			v.Backends = append(v.Backends, backend{Backend: b, Servers: servers(b, "")})
		}
	}
	if h := t.HTTP2; h != nil && h.Program == topology.HAProxy {
		v.MaxConnections = h.MaxConnections
		proto := ""
		if h.TLS == nil {
			proto = " proto h2" // there is no ALPN to say so
		}
		v.HTTP2 = &balancer{HTTP2: *h, Binds: binds(h.Listen, h.AcceptProxy, h.TLS, proto)}
		v.Backends = append(v.Backends, backend{Backend: h.Backend, HTTP: true, Servers: servers(h.Backend, " proto h2")})
	}
	if v.MaxConnections == 0 {
		return nil, nil
	}
	if t.Readers.HAProxy {
		v.Stop = 0
	}
	data, err := target.Execute("haproxy/haproxy.cfg.tmpl", word, v)
	if err != nil {
		return nil, err
	}
	return []bundle.File{{Path: Path, Data: data}}, nil
}

// binds are a frontend's bind lines without the keyword.
func binds(listen []string, acceptProxy bool, tls *topology.TLS, proto string) []string {
	options := ""
	if acceptProxy {
		options += " accept-proxy"
	}
	options += proto
	if tls != nil {
		options += fmt.Sprintf(" ssl crt %s alpn %s ssl-min-ver TLSv%s", word(tls.CombinedFile), strings.Join(tls.ALPN, ","), tls.MinVersion)
		if c := tls.Clients; c != nil {
			options += " ca-file " + word(c.CAFile) + " verify " + map[bool]string{true: "required", false: "optional"}[c.Required]
		}
	}
	var lines []string
	for _, address := range listen {
		line := address
		if host, _, err := net.SplitHostPort(address); err == nil && strings.Contains(host, ":") {
			line += " v6only" // as nginx's default, so that 0.0.0.0 can stand beside it
		}
		lines = append(lines, line+options)
	}
	return lines
}

// recheck is the pause between two checks of a server that is not wholly up. One
// failure takes a server down that HAProxy has not seen up before, so where both
// start with the machine, who is later would else be out for two intervals.
const recheck = time.Second

// servers are a backend's server lines without the keyword.
func servers(b topology.Backend, proto string) []string {
	options := proto
	if c := b.Check; c != nil {
		options += " check inter " + target.Duration(c.Interval)
		if c.Interval > recheck {
			options += fmt.Sprintf(" fastinter %[1]s downinter %[1]s", target.Duration(recheck))
		}
		options += fmt.Sprintf(" fall %d rise %d", c.Fall, c.Rise)
	}
	switch b.ProxyHeader {
	case topology.HeaderV1:
		options += " send-proxy"
	case topology.HeaderV2:
		options += " send-proxy-v2"
	case topology.NoHeader:
	}
	if b.Check != nil && b.ProxyHeader != topology.NoHeader {
		options += " check-send-proxy" // the edge waits for the header, on a check too
	}
	var lines []string
	for _, s := range b.Servers {
		lines = append(lines, word(s.Name)+" "+s.Address+options)
	}
	return lines
}

// word quotes a text as section 2.2 of HAProxy's configuration manual says.
func word(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+,=*"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(s) + `"`
}
