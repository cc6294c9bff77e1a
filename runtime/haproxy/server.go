package haproxy

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"kasgen/internal/haproxyconf"
	"kasgen/runtime/balancer"
)

// HAProxy's defaults of a health check.
const (
	defaultInter = 2 * time.Second
	defaultRise  = 2
	defaultFall  = 3
	maxWeight    = 256
)

// server is a server line, or the options that default-server gives to all.
type server struct {
	word           haproxyconf.Word
	address        string
	check          bool
	checkSendProxy bool
	inter          time.Duration
	fast, down     time.Duration
	rise, fall     int
	weight         int
	backup         bool
	disabled       bool
	maxConn        int
	sendProxy      int
	ssl            bool
	verify         string
	caFile         string
	sni            string
	alpn           []string
	h2             bool // `proto h2`
}

func newServer() *server {
	return &server{inter: defaultInter, rise: defaultRise, fall: defaultFall, weight: 1, verify: "required"}
}

var serverOptions = [...]string{
	"check", "no-check", "inter", "fastinter", "downinter", "fall", "rise", "weight", "backup", "disabled", "maxconn",
	"send-proxy", "send-proxy-v2", "check-send-proxy", "ssl", "verify", "ca-file", "sni", "alpn", "proto",
}

func (l *loader) server(p *proxy, line *haproxyconf.Line) {
	if !l.count(line, 1, 2, -1) {
		return
	}
	s := *p.template
	s.word = line.Words[1]
	for _, other := range p.servers {
		if other.word.Value == s.word.Value {
			l.add(codeDuplicate, s.word.Pos, fmt.Sprintf("server %q is already defined at line %d", s.word.Value, other.word.Pos.Line), "logs and checks could mean either", "rename one of them")
		}
	}
	host, port, err := splitAddress(line.Words[2].Value)
	if err == nil && (host == "" || host == "*") {
		err = fmt.Errorf("there is no address")
	}
	if err != nil {
		l.add(codeArguments, line.Words[2].Pos, fmt.Sprintf("%q is not a server's address: %v", line.Words[2].Value, err), "the embedded balancer connects to TCP addresses", "write ADDRESS:PORT")
	}
	s.address = net.JoinHostPort(host, port)
	l.serverOptions(p, &s, line.Words[3:])
	if p.http() && !s.h2 && slices.Contains(s.alpn, "h2") {
		l.unsupported(s.word, "a server that may speak HTTP/2 or not", "the embedded balancer knows before it connects", "add proto h2, or take h2 out of alpn")
	}
	if s.ssl && s.verify == "required" && s.caFile == "" {
		l.arguments(s.word, "ssl verifies by default, and there is no ca-file")
	}
	if s.ssl && s.verify == "required" && s.caFile != balancer.SystemRoots {
		l.readsFile(s.caFile)
	}
	p.servers = append(p.servers, &s)
}

func (l *loader) serverOptions(p *proxy, s *server, words []haproxyconf.Word) {
	for i := 0; i < len(words); i++ {
		w := words[i]
		value := func() haproxyconf.Word {
			i++
			if i < len(words) {
				return words[i]
			}
			l.arguments(w, "%s wants an argument", w.Value)
			return haproxyconf.Word{Value: "1", Pos: w.Pos}
		}
		switch w.Value {
		case "check":
			s.check = true
		case "no-check":
			s.check = false
		case "inter":
			s.inter = l.positive(value())
		case "fastinter":
			s.fast = l.positive(value())
		case "downinter":
			s.down = l.positive(value())
		case "rise":
			s.rise = l.number(value(), 1, 1<<30)
		case "fall":
			s.fall = l.number(value(), 1, 1<<30)
		case "weight":
			s.weight = l.number(value(), 0, maxWeight)
		case "maxconn":
			s.maxConn = l.number(value(), 0, 1<<30)
		case "id":
			l.number(value(), 1, 1<<31-1) // a number for statistics
		case "backup":
			s.backup = true
		case "disabled":
			s.disabled = true
		case "enabled":
			s.disabled = false
		case "send-proxy":
			s.sendProxy = 1
		case "send-proxy-v2":
			s.sendProxy = 2
		case "no-send-proxy", "no-send-proxy-v2":
			s.sendProxy = 0
		case "check-send-proxy":
			s.checkSendProxy = true
		case "ssl":
			s.ssl = true
		case "no-ssl":
			s.ssl = false
		case "verify":
			if v := value(); v.Value == "none" || v.Value == "required" {
				s.verify = v.Value
			} else {
				l.arguments(v, "verify is none or required, not %q", v.Value)
			}
		case "ca-file":
			s.caFile = value().Value
		case "sni":
			s.sni = l.sni(value())
		case "proto":
			s.h2 = l.proto(p, w, value())
		case "alpn":
			s.alpn = l.protocols(value())
		default:
			l.unknown(w, "server", serverOptions[:])
		}
	}
}

func (l *loader) positive(w haproxyconf.Word) time.Duration {
	d := l.duration(w)
	if d == 0 {
		l.arguments(w, "%q must not be zero", w.Value)
	}
	return d
}

// sni reads str(NAME), the one expression that does not depend on the client.
func (l *loader) sni(w haproxyconf.Word) string {
	name, ok := strings.CutPrefix(w.Value, "str(")
	if name, ok2 := strings.CutSuffix(name, ")"); ok && ok2 {
		return name
	}
	l.unsupported(w, "sni "+w.Value, "the embedded balancer sends the same name for every client", "write sni str(NAME)")
	return ""
}

// peer is the server for the balancer. timeouts are its backend's.
func (s *server) peer(timeouts map[string]time.Duration) *balancer.Peer {
	p := &balancer.Peer{
		Name: s.word.Value, Address: s.address, Weight: s.weight, Backup: s.backup, Down: s.disabled,
		MaxConn: s.maxConn, SendProxy: s.sendProxy,
	}
	if s.ssl {
		p.TLS = &balancer.ClientTLS{Verify: s.verify == "required", CAFile: s.caFile, ServerName: s.sni, ALPN: s.alpn}
	}
	if s.check {
		// Without `timeout check` a check has as long as the pause between
		// two; with it, connecting has `timeout connect` at most.
		limit := s.inter
		if check := timeouts["check"]; check > 0 {
			if connect := timeouts["connect"]; connect > 0 {
				limit = min(limit, connect)
			}
			if s.ssl {
				limit = max(limit, check)
			}
		}
		p.Check = &balancer.Check{
			Inter: s.inter, FastInter: s.fast, DownInter: s.down, Rise: s.rise, Fall: s.fall, Timeout: limit,
			// A check of the traffic's own port says PROXY as traffic does.
			SendProxy: s.sendProxy > 0 || s.checkSendProxy,
		}
	}
	return p
}
