package nginx

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"kasgen/internal/nginxconf"
	"kasgen/runtime/balancer"
)

// nginx's defaults of a server in an upstream.
const (
	defaultMaxFails    = 1
	defaultFailTimeout = 10 * time.Second
)

type upstream struct {
	word  nginxconf.Word
	pool  *balancer.Pool
	peers int
}

func (l *loader) upstream(d *nginxconf.Directive) {
	if !l.block(d, 1) {
		return
	}
	name := d.Args[0]
	if other := l.upstreams[name.Value]; other != nil {
		l.add(codeDuplicate, name.Pos, fmt.Sprintf("upstream %q is already defined at line %d", name.Value, other.word.Pos.Line), "proxy_pass could mean either", "rename one of them")
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
			if l.simple(s, 0, 0) {
				balance = balancer.LeastConn
			}
		case "hash":
			if l.simple(s, 1, 2) {
				balance = l.hash(s)
			}
		case "zone":
			l.simple(s, 1, 2) // memory shared between processes, of which there is one
		case "random", "resolver", "resolver_timeout":
			l.unsupported(s.Name, "the embedded runtime has round robin, least_conn and hash $remote_addr", "use one of these")
		default:
			l.unknown(s.Name, "upstream", []string{"server", "least_conn", "hash", "zone"})
		}
	}
	switch {
	case !primary:
		l.add(codeIncomplete, name.Pos, fmt.Sprintf("no servers are inside upstream %q", name.Value), "nginx wants one that is not a backup", "add a server")
	case backup && balance == balancer.KeyHash:
		l.add(codeArguments, name.Pos, "hash has no backup servers", "nginx refuses the two together", "remove backup, or balance otherwise")
	}
	pool := balancer.NewPool(name.Value, balance, false, peers)
	l.config.Pools = append(l.config.Pools, pool)
	l.upstreams[name.Value] = &upstream{word: name, pool: pool, peers: len(peers)}
}

func (l *loader) hash(d *nginxconf.Directive) balancer.Balance {
	if d.Args[0].Value != "$remote_addr" {
		l.unsupported(d.Args[0], "the embedded runtime hashes the client's address only", "write hash $remote_addr")
	}
	if len(d.Args) == 2 {
		l.unsupported(d.Args[1], "the embedded runtime has nginx's plain hash only", "remove the parameter")
	}
	return balancer.KeyHash
}

func (l *loader) peer(d *nginxconf.Directive) *balancer.Peer {
	if !l.simple(d, 1, -1) {
		return nil
	}
	p := newPeer(d.Args[0].Value)
	if err := checkAddress(p.Address); err != nil {
		l.arguments(d.Args[0], "%q is not a server's address: %v", p.Address, err)
	}
	for _, w := range d.Args[1:] {
		key, text, _ := strings.Cut(w.Value, "=")
		switch key {
		case "weight":
			p.Weight = l.number(w, text, 1, 1<<16)
		case "max_fails":
			p.MaxFails = l.number(w, text, 0, 1<<30)
		case "max_conns":
			p.MaxConn = l.number(w, text, 0, 1<<30)
		case "fail_timeout":
			p.FailTimeout = l.duration(nginxconf.Word{Value: text, Pos: w.Pos})
		case "backup":
			p.Backup = true
		case "down":
			p.Down = true
		default:
			l.unknown(w, "server", []string{"weight=", "max_fails=", "max_conns=", "fail_timeout=", "backup", "down"})
		}
	}
	return p
}

func newPeer(address string) *balancer.Peer {
	return &balancer.Peer{Name: address, Address: address, Weight: 1, MaxFails: defaultMaxFails, FailTimeout: defaultFailTimeout}
}

// checkAddress wants host:port, for stream has no default port.
func checkAddress(text string) error {
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
