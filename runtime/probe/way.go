package probe

import (
	"net"
	"slices"
	"strings"

	"kasgen/internal/diag"
	"kasgen/internal/lockfile"
)

// asked is what a client asks for, as far as programs choose by it.
type asked struct {
	host, port, path string
	grpc             bool
}

// way is what a connection passes, program by program, as the files of a
// bundle have it.
type way []hop

// hop is one program on the way.
type hop struct {
	from listening
	to   *sending // nil: it ends here, or the file does not say
	// suspects are the lines that can have made a check what it is.
	suspects func(*Check, *endpoint) []suspect
}

// listening is how a program takes connections.
type listening struct {
	at     diag.Pos
	port   string
	proxy  string // the PROXY header that it asks for: "", v1, v2, or any
	secure bool   // it ends TLS
	h1     bool   // it takes HTTP/1.1 and nothing else
}

// sending is how a program goes on.
type sending struct {
	at, how    diag.Pos // of the address, and of what says how it is sent to
	address    string   // host:port
	proxy      string   // the PROXY header that it sends: "", v1 or v2
	secure, h2 bool     // by TLS, and HTTP/2
}

// suspect is a line and what is said about it.
type suspect struct {
	at   diag.Pos
	line string
}

// mostHops ends ways that lead in circles.
const mostHops = 8

// way follows a client through the files; nil where they do not take it.
func (b *Bundle) way(a asked) way {
	var w way
	h := b.entrance(a)
	for h != nil {
		w = append(w, *h)
		if h.to == nil || len(w) == mostHops {
			break
		}
		h = b.at(h.to.address, a)
	}
	return w
}

// at is the program that listens on an address, nil if none does.
func (b *Bundle) at(address string, a asked) *hop {
	takes := func(bind string) bool { return sameAddress(bind, address) }
	return firstHop(b.haproxyHop(takes, a), b.streamHop(takes, a), b.edgeHop(takes, a), b.webHop(takes, a), b.kasHop(takes))
}

// entrance is what clients meet first: by the manifest, or by the port that
// they use, or else the outermost program that there is, for the port may be
// another before the balancer.
func (b *Bundle) entrance(a asked) *hop {
	if b.lock != nil && b.lock.Names != nil {
		for _, h := range []*lockfile.Host{b.lock.Names.GRPC, &b.lock.Names.KAS} {
			if h != nil && h.Name == a.host {
				if found := b.at(h.Listeners[0], a); found != nil {
					return found
				}
			}
		}
	}
	port := func(bind string) bool { return portOf(bind) == a.port }
	any := func(string) bool { return true }
	return firstHop(b.haproxyHop(port, a), b.streamHop(port, a), b.edgeHop(port, a), b.webHop(port, a),
		b.haproxyHop(any, a), b.streamHop(any, a), b.edgeHop(any, a), b.webHop(nil, a))
}

func firstHop(list ...*hop) *hop {
	for _, h := range list {
		if h != nil {
			return h
		}
	}
	return nil
}

// sameAddress says whether what is sent to an address comes to a bind.
func sameAddress(bind, address string) bool {
	if portOf(bind) != portOf(address) {
		return false
	}
	host, to := hostOf(bind), hostOf(address)
	loopback := []string{"127.0.0.1", "::1", "localhost"}
	return host == to || slices.Contains([]string{"", "*", "0.0.0.0", "::"}, host) || slices.Contains(loopback, host) && slices.Contains(loopback, to)
}

func portOf(address string) string {
	if _, port, err := net.SplitHostPort(address); err == nil {
		return port
	}
	return strings.TrimPrefix(address, ":")
}

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	return host
}
