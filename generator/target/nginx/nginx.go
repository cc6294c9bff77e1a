// Package nginx owns stream.conf, the TCP balancer, and nginx.conf, vhosts and
// port 80, each a whole configuration of nginx's. It knows no spec. Its law: nginx of the stated version accepts what
// it writes, and it writes only what the embedded balancer also does.
package nginx

import (
	"fmt"
	"strings"
	"time"

	"kasgen/generator/bundle"
	"kasgen/generator/target"
	"kasgen/generator/topology"
)

// The files' names in a bundle.
const (
	StreamPath = "nginx/stream.conf"
	HTTPPath   = "nginx/nginx.conf"
)

// values is what the template places.
type values struct {
	Header                                 string
	StreamModule, PID                      string
	WorkerConnections                      int
	HalfClose                              bool
	MapBucket                              int // 0: nginx's own
	Drain, Connect, Idle, Sniff, Handshake time.Duration
	Maps                                   []server // those servers that choose by name
	Upstreams                              []upstream
	Servers                                []server
}

type server struct {
	topology.Frontend
	Listen       []string
	Variable     string // that holds the upstream, without the $; empty: Default
	NameVariable string // that holds the name, without the $
	// ValidatedVariable holds the upstream once Validated has been looked at,
	// without the $; empty: Variable
	ValidatedVariable string
	Protocols         string
	ALPN              string
	ProxyProtocol     bool
}

type upstream struct {
	topology.Backend
	Method  string
	Servers []string
}

// Render writes what nginx does in the topology.
func Render(t topology.Topology) ([]bundle.File, error) {
	stream, err := renderStream(t)
	if err != nil {
		return nil, err
	}
	http, err := renderHTTP(t)
	return append(stream, http...), err
}

func renderStream(t topology.Topology) ([]bundle.File, error) {
	if t.Front == nil || t.Front.Program != topology.Nginx {
		return nil, nil
	}
	v := values{
		Header:       target.Header(t, "nginx"),
		StreamModule: t.Front.StreamModule, PID: t.StateDir + "/nginx.pid",
		WorkerConnections: 2 * t.Front.MaxConnections,
		HalfClose:         t.Front.HalfClose,
		Drain:             t.Timeouts.Drain, Connect: t.Timeouts.Connect, Idle: t.Timeouts.Idle,
		Sniff: t.Timeouts.Sniff, Handshake: t.Timeouts.Handshake,
	}
	if t.Readers.Stream {
		v.Drain = 0
	}
	headers := map[string]topology.ProxyHeader{}
	for _, b := range t.Front.Backends {
		headers[b.Name] = b.ProxyHeader
		u, err := upstreamOf(b)
		if err != nil {
			return nil, err
		}
		v.Upstreams = append(v.Upstreams, u)
	}
	var names []string
	for _, f := range t.Front.Frontends {
		for _, n := range f.Names {
			names = append(names, n.Host)
		}
		for _, n := range f.Validated {
			names = append(names, "acme-tls/1 "+n.Host)
		}
		s, err := serverOf(f, headers)
		if err != nil {
			return nil, err
		}
		v.Servers = append(v.Servers, s)
		if s.Variable != "" {
			v.Maps = append(v.Maps, s)
		}
	}
	v.MapBucket = Bucket(names)
	data, err := target.Execute("nginx/stream.conf.tmpl", word, v)
	if err != nil {
		return nil, err
	}
	return []bundle.File{{Path: StreamPath, Data: data}}, nil
}

func serverOf(f topology.Frontend, headers map[string]topology.ProxyHeader) (server, error) {
	s := server{Frontend: f, ProxyProtocol: headers[f.Default] != topology.NoHeader}
	for _, n := range f.Names {
		if headers[n.Backend] != headers[f.Default] {
			return server{}, fmt.Errorf("nginx: frontend %s: one listener sends one PROXY header", f.Name)
		}
	}
	if headers[f.Default] == topology.HeaderV2 {
		return server{}, fmt.Errorf("nginx: frontend %s: nginx cannot send PROXY v2", f.Name)
	}
	if len(f.Names) > 0 {
		s.NameVariable = "ssl_preread_server_name"
		if f.TLS != nil {
			s.NameVariable = "ssl_server_name"
		}
		s.Variable = strings.ReplaceAll(f.Name, "-", "_") + "_upstream"
		if len(f.Validated) > 0 {
			s.ValidatedVariable = s.Variable + "_or_validation"
		}
	}
	options := ""
	if f.AcceptProxy {
		options += " proxy_protocol"
	}
	if f.TLS != nil {
		options += " ssl"
		s.Protocols = protocols(f.TLS)
		s.ALPN = strings.Join(f.TLS.ALPN, " ")
	}
	for _, address := range f.Listen {
		// nginx sets ipv6only=on by itself.
		s.Listen = append(s.Listen, address+options+" so_keepalive=on")
	}
	return s, nil
}

// protocols are the TLS versions from the least on.
func protocols(tls *topology.TLS) string {
	if tls.MinVersion == "1.3" {
		return "TLSv1.3"
	}
	return "TLSv1.2 TLSv1.3"
}

func upstreamOf(b topology.Backend) (upstream, error) {
	u := upstream{Backend: b}
	switch b.Balance {
	case topology.LeastConn:
		u.Method = "least_conn"
	case topology.Source:
		u.Method = "hash $remote_addr"
	case topology.RoundRobin:
	default:
		return upstream{}, fmt.Errorf("nginx: backend %s: no way to balance by %q", b.Name, b.Balance)
	}
	if len(b.Servers) == 1 {
		u.Method = "" // there is nothing to choose
	}
	options := ""
	if c := b.Check; c != nil && len(b.Servers) > 1 {
		// nginx checks by the connections themselves: so many failures within
		// the time, and the node is left alone for as long.
		options = fmt.Sprintf(" max_fails=%d fail_timeout=%s", c.Fall, target.Duration(c.Interval*time.Duration(c.Fall)))
	}
	for _, s := range b.Servers {
		u.Servers = append(u.Servers, s.Address+options)
	}
	return u, nil
}

// Bucket is the size that a bucket of a hash table needs for the longest of
// the names, or 0 where nginx's own 64 is enough: a pointer to the value, the
// name with its length, and a pointer that ends the bucket (ngx_hash.c).
func Bucket(names []string) int {
	need := 0
	for _, name := range names {
		need = max(need, (len(name)+2+7)/8*8+16)
	}
	size := 64
	for size < need {
		size *= 2
	}
	if size == 64 {
		return 0
	}
	return size
}

// word quotes a text as nginx's lexer reads it.
func word(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+,=*"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
