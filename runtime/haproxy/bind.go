package haproxy

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"kasgen/internal/haproxyconf"
	"kasgen/runtime/balancer"
	"kasgen/runtime/certs"
)

// address is host:port and the family that is meant.
type address struct{ network, text string }

// bind is one bind line.
type bind struct {
	addresses   []address
	acceptProxy bool
	tls         *balancer.ServerTLS // nil without `ssl`
	h2          bool                // `proto h2`: nothing else is spoken
}

var bindOptions = [...]string{"accept-proxy", "ssl", "crt", "alpn", "ssl-min-ver", "ssl-max-ver", "proto", "name", "v6only", "v4v6", "ca-file", "verify"}

func (l *loader) bind(p *proxy, line *haproxyconf.Line) {
	if !l.count(line, 1, 1, -1) {
		return
	}
	b := &bind{addresses: l.bindAddresses(line.Words[1])}
	terms := balancer.ServerTLS{Min: tls.VersionTLS12} // HAProxy 2.6's ssl-min-ver
	var ssl bool
	var needsSSL, verify *haproxyconf.Word
	words := line.Words[2:]
	for i := 0; i < len(words); i++ {
		w := words[i]
		value := func() (haproxyconf.Word, bool) {
			needsSSL = &w
			i++
			if i >= len(words) {
				l.arguments(w, "%s wants an argument", w.Value)
				return haproxyconf.Word{}, false
			}
			return words[i], true
		}
		switch w.Value {
		case "accept-proxy":
			b.acceptProxy = true
		case "ssl":
			ssl = true
		case "v4v6", "v6only":
			b.family(w.Value)
		case "name":
			needs := needsSSL
			value() // a word for statistics
			needsSSL = needs
		case "proto":
			needs := needsSSL
			if v, ok := value(); ok {
				b.h2 = l.proto(p, w, v)
			}
			needsSSL = needs
		case "crt":
			if v, ok := value(); ok {
				terms.Certificates = append(terms.Certificates, balancer.Certificate{Cert: v.Value})
			}
		case "ca-file":
			if v, ok := value(); ok {
				terms.ClientCA = v.Value
			}
		case "verify":
			if v, ok := value(); ok {
				verify = &v
			}
		case "alpn":
			if v, ok := value(); ok {
				terms.ALPN = l.protocols(v)
			}
		case "ssl-min-ver":
			if v, ok := value(); ok {
				terms.Min = l.version(v)
			}
		case "ssl-max-ver":
			if v, ok := value(); ok {
				terms.Max = l.version(v)
			}
		case "no-sslv3", "no-tlsv10", "no-tlsv11", "no-tlsv12", "no-tlsv13", "force-sslv3", "force-tlsv10", "force-tlsv11", "force-tlsv12", "force-tlsv13":
			l.unsupported(w, w.Value, "it is an old way to set a range of versions", "write ssl-min-ver and ssl-max-ver")
		default:
			l.unknown(w, "bind", bindOptions[:])
		}
	}
	switch {
	case ssl && len(terms.Certificates) == 0:
		l.arguments(line.Words[0], "ssl without a crt")
	case !ssl && needsSSL != nil:
		l.add(codeArguments, needsSSL.Pos, needsSSL.Value+" without ssl", "HAProxy ignores it there, and the listener would be cleartext", "add ssl, or remove it")
	case terms.Max != 0 && terms.Max < terms.Min:
		l.arguments(line.Words[0], "ssl-max-ver is below ssl-min-ver")
	}
	l.clients(&terms, verify)
	if ssl {
		b.tls = &terms
		if terms.ClientCA != "" {
			l.readsFile(terms.ClientCA)
		}
		for _, c := range terms.Certificates {
			l.readsFile(c.Cert)
			l.pairs = certs.Add(l.pairs, certs.Served{Pair: c.Pair()})
		}
	}
	p.binds = append(p.binds, b)
}

// clients settles whether clients are asked for certificates. HAProxy asks
// nobody where verify is missing, or none, whatever ca-file says.
func (l *loader) clients(t *balancer.ServerTLS, verify *haproxyconf.Word) {
	how := "none"
	if verify != nil {
		how = verify.Value
	}
	switch how {
	case "none":
		t.ClientCA = ""
	case "optional", "required":
		t.ClientRequired = how == "required"
		if t.ClientCA == "" {
			l.add(codeArguments, verify.Pos, "verify "+how+" without ca-file", "HAProxy does not start: it would know nobody who signs", "add ca-file")
		}
	default:
		l.unknown(*verify, "verify", []string{"none", "optional", "required"})
	}
}

// proto reads the protocol that bind and server lines may settle.
func (l *loader) proto(p *proxy, w, v haproxyconf.Word) (h2 bool) {
	switch {
	case v.Value != "h2":
		l.unsupported(v, "proto "+v.Value, "HTTP/1.1 is what is spoken without the word", "write proto h2, or remove it")
	case !p.http():
		l.add(codeArguments, w.Pos, "proto h2 in mode tcp", "HAProxy does not start: bytes have no protocol", "write mode http, or remove it")
	}
	return true
}

// family settles what an IPv6 wildcard listens on: both families as Linux has
// it by default, or IPv6 alone.
func (b *bind) family(option string) {
	for i, a := range b.addresses {
		if a.network != "tcp4" {
			b.addresses[i].network = map[string]string{"v6only": "tcp6", "v4v6": "tcp"}[option]
		}
	}
}

func (l *loader) readsFile(name string) {
	if !slices.Contains(l.files, name) {
		l.files = append(l.files, name)
	}
}

func (l *loader) protocols(w haproxyconf.Word) []string {
	list := strings.Split(w.Value, ",")
	if slices.Contains(list, "") {
		l.arguments(w, "%q has an empty protocol", w.Value)
	}
	return list
}

func (l *loader) version(w haproxyconf.Word) uint16 {
	versions := map[string]uint16{"TLSv1.0": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}
	v, ok := versions[w.Value]
	if !ok {
		l.arguments(w, "%q is not TLSv1.0, TLSv1.1, TLSv1.2 or TLSv1.3", w.Value)
	}
	return v
}

// bindAddresses reads addresses between commas. "*" and nothing are every
// IPv4 address of the machine, as in HAProxy, and not every one of both
// families, as they would be to Go.
func (l *loader) bindAddresses(w haproxyconf.Word) []address {
	var out []address
	for text := range strings.SplitSeq(w.Value, ",") {
		host, port, err := splitAddress(text)
		network := "tcp4"
		switch {
		case err != nil:
			l.add(codeArguments, w.Pos, fmt.Sprintf("%q is not an address to bind: %v", text, err), "the embedded balancer listens on TCP addresses", "write ADDRESS:PORT, for example *:443 or 127.0.0.1:443")
			continue
		case host == "" || host == "*":
			host = "0.0.0.0"
		default:
			ip, err := netip.ParseAddr(host)
			if err == nil && ip.Is6() {
				network = "tcp"
			}
			if err != nil {
				l.add(codeArguments, w.Pos, fmt.Sprintf("%q is not an IP address", host), "a name may mean another address tomorrow", "write the address itself")
			}
		}
		out = append(out, address{network: network, text: net.JoinHostPort(host, port)})
	}
	return out
}

// splitAddress cuts at the last colon: HAProxy takes IPv6 with or without
// brackets.
func splitAddress(text string) (host, port string, err error) {
	if strings.ContainsAny(text, "@/") {
		return "", "", fmt.Errorf("only IP addresses with a port are supported")
	}
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return "", "", fmt.Errorf("there is no port")
	}
	host, port = text[:i], text[i+1:]
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.ContainsAny(port, "-+") {
		return "", "", fmt.Errorf("ranges and offsets of ports are not supported")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", "", fmt.Errorf("port %q is not from 1 to 65535", port)
	}
	return host, strconv.FormatUint(n, 10), nil
}
