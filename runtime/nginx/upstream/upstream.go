// Package upstream reads nginx's upstream{} blocks and the addresses of servers,
// which stream{} and http{} have in common. It owns what they mean, and makes
// pools of them; choosing from a pool is runtime/balancer's.
package upstream

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"kasgen/internal/nginxconf"
	"kasgen/runtime/balancer"
	"kasgen/runtime/nginx/directive"
)

// nginx's defaults of a server in an upstream.
const (
	defaultMaxFails    = 1
	defaultFailTimeout = 10 * time.Second
)

// Upstream is a name for servers that share the work.
type Upstream struct {
	Word nginxconf.Word
	Pool *balancer.Pool
}

// Reader reads the upstreams of one block.
type Reader struct {
	*directive.Reader
	// DefaultPort is that of a server that names none; empty: it must.
	DefaultPort string
	// Kept is set where nginx may keep connections for later requests.
	Kept bool
}

// Read reads d into the others by its name.
func (l Reader) Read(d *nginxconf.Directive, others map[string]*Upstream) {
	if !l.Block(d, 1, 1) {
		return
	}
	name := d.Args[0]
	if other := others[name.Value]; other != nil {
		l.Add(directive.Duplicate, name.Pos, fmt.Sprintf("upstream %q is already defined at line %d", name.Value, other.Word.Pos.Line), "proxy_pass could mean either", "rename one of them")
	}
	balance := balancer.RoundRobin
	var peers []*balancer.Peer
	primary, backup := false, false
	for _, s := range d.Block.Directives {
		switch s.Name.Value {
		case "server":
			if p := l.peer(s); p != nil {
				peers = append(peers, p)
				primary = primary || !p.Backup
				backup = backup || p.Backup
			}
		case "least_conn":
			if l.Simple(s, 0, 0) {
				balance = balancer.LeastConn
			}
		case "hash":
			if l.Simple(s, 1, 2) {
				balance = l.hash(s)
			}
		case "zone":
			l.Simple(s, 1, 2) // memory shared between processes, of which there is one
		case "keepalive", "keepalive_requests", "keepalive_time", "keepalive_timeout":
			// How long nginx keeps a connection for the next request. Here each
			// has its own, which an upstream cannot tell from a short time.
			if !l.Kept {
				l.Unknown(s.Name, "upstream", []string{"server", "least_conn", "hash", "zone"})
			}
			l.Simple(s, 1, 1)
		case "ip_hash", "random", "resolver", "resolver_timeout":
			l.Unsupported(s.Name, "the embedded runtime has round robin, least_conn and hash $remote_addr", "use one of these")
		default:
			l.Unknown(s.Name, "upstream", []string{"server", "least_conn", "hash", "zone"})
		}
	}
	switch {
	case !primary:
		l.Add(directive.Incomplete, name.Pos, fmt.Sprintf("no servers are inside upstream %q", name.Value), "nginx wants one that is not a backup", "add a server")
	case backup && balance == balancer.KeyHash:
		l.Add(directive.Arguments, name.Pos, "hash has no backup servers", "nginx refuses the two together", "remove backup, or balance otherwise")
	}
	others[name.Value] = &Upstream{Word: name, Pool: balancer.NewPool(name.Value, balance, false, peers)}
}

func (l Reader) hash(d *nginxconf.Directive) balancer.Balance {
	if d.Args[0].Value != "$remote_addr" {
		l.Unsupported(d.Args[0], "the embedded runtime hashes the client's address only", "write hash $remote_addr")
	}
	if len(d.Args) == 2 {
		l.Unsupported(d.Args[1], "the embedded runtime has nginx's plain hash only", "remove the parameter")
	}
	return balancer.KeyHash
}

func (l Reader) peer(d *nginxconf.Directive) *balancer.Peer {
	if !l.Simple(d, 1, -1) {
		return nil
	}
	p := NewPeer(l.Address(d.Args[0].Value))
	if err := CheckAddress(p.Address); err != nil {
		l.Arguments(d.Args[0], "%q is not a server's address: %v", p.Address, err)
	}
	for _, w := range d.Args[1:] {
		key, text, _ := strings.Cut(w.Value, "=")
		switch key {
		case "weight":
			p.Weight = l.Number(w, text, 1, 1<<16)
		case "max_fails":
			p.MaxFails = l.Number(w, text, 0, 1<<30)
		case "max_conns":
			p.MaxConn = l.Number(w, text, 0, 1<<30)
		case "fail_timeout":
			p.FailTimeout = l.Duration(nginxconf.Word{Value: text, Pos: w.Pos})
		case "backup":
			p.Backup = true
		case "down":
			p.Down = true
		default:
			l.Unknown(w, "server", []string{"weight=", "max_fails=", "max_conns=", "fail_timeout=", "backup", "down"})
		}
	}
	return p
}

// Address is a server's address with the default port, if it names none.
func (l Reader) Address(text string) string {
	if l.DefaultPort == "" || strings.HasPrefix(text, "unix:") {
		return text
	}
	if i := strings.LastIndexByte(text, ':'); i < 0 || strings.HasSuffix(text, "]") {
		return text + ":" + l.DefaultPort
	}
	return text
}

// NewPeer is a server as nginx has it by default.
func NewPeer(address string) *balancer.Peer {
	return &balancer.Peer{Name: address, Address: address, Weight: 1, MaxFails: defaultMaxFails, FailTimeout: defaultFailTimeout}
}

// CheckAddress wants host:port.
func CheckAddress(text string) error {
	if strings.HasPrefix(text, "unix:") {
		return fmt.Errorf("unix sockets are not supported")
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return fmt.Errorf("want host:port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("invalid port %q", port)
	}
	if host == "" {
		return fmt.Errorf("no host")
	}
	if strings.HasPrefix(text, "[") {
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Errorf("invalid address %q", host)
		}
	}
	return nil
}
