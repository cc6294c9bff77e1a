package diagram

import (
	"slices"
	"strings"

	"kasgen/internal/nginxconf"
)

// webBoxes are the listeners of http{}: servers that share their addresses are
// one box, because a client comes to the address and names a server then.
func webBoxes(f *nginxconf.File) []*Box {
	http := section(f, "http")
	if http == nil {
		return nil
	}
	var boxes []*Box
	for _, d := range http.all("server") {
		s := http.inner(d)
		own := &Box{From: webFile}
		tls := own.listens(s)
		b := sharing(boxes, own)
		if b == nil {
			b = own
			b.Title = "nginx: " + ports(b.listen)
			boxes = append(boxes, b)
		}
		first := len(b.Rows)
		security := b.security(s, tls)
		for _, l := range s.all("location") {
			if l.Block != nil {
				b.location(s.inner(l), arguments(l))
			}
		}
		b.returns(s, "everything")
		for i := first; i < len(b.Rows); i++ {
			b.Rows[i].Name = words(strings.Join(names(s), ", "), security)
		}
	}
	return boxes
}

// sharing is the box that has one of the addresses of another.
func sharing(boxes []*Box, other *Box) *Box {
	for _, b := range boxes {
		for _, l := range b.listen {
			if slices.Contains(other.listen, l) {
				return b
			}
		}
	}
	return nil
}

// security is how a server ends TLS.
func (b *Box) security(s *block, tls bool) string {
	two := on(s, "http2") || slices.ContainsFunc(s.all("listen"), func(d *nginxconf.Directive) bool { return slices.Contains(arguments(d), "http2") })
	switch {
	case on(s, "ssl_reject_handshake"):
		b.Rows = append(b.Rows, Row{Match: "TLS handshakes", Answer: "refused"})
		return ""
	case tls && two:
		return "ends TLS, ALPN h2, http/1.1"
	case tls:
		return "ends TLS, ALPN http/1.1"
	case two:
		return "cleartext, HTTP/2"
	default:
		return "cleartext, HTTP/1.1"
	}
}

func names(s *block) []string {
	var out []string
	for _, d := range s.all("server_name") {
		out = append(out, arguments(d)...)
	}
	if len(out) == 0 {
		return []string{"other names"}
	}
	return out
}

// location adds the ways on from one.
func (b *Box) location(l *block, w []string) {
	match := w[len(w)-1]
	if len(w) > 1 {
		match = w[0] + " " + match
	} else if match != "/" || len(l.outer.all("location")) > 1 {
		match += "…"
	}
	if match == "/…" {
		match = "everything else"
	}
	for _, d := range l.all("if") {
		if d.Block != nil {
			b.returns(l.inner(d), match+" if "+strings.Trim(strings.Join(arguments(d), " "), "()"))
		}
	}
	if to := own(l, "proxy_pass"); to != nil {
		b.Rows = append(b.Rows, l.pass(match, to[0]))
	}
	if to := own(l, "grpc_pass"); to != nil {
		_, address, secure := target(to[0])
		b.Rows = append(b.Rows, Row{Match: match, Carries: words("gRPC, HTTP/2", secure), addresses: l.servers(address)})
	}
	if root := own(l, "root"); root != nil {
		b.Rows = append(b.Rows, Row{Match: match, Answer: "files of " + root[0]})
	}
	b.returns(l, match)
}

// own is a directive that is not inherited.
func own(b *block, name string) []string {
	if found := b.all(name); len(found) > 0 {
		return arguments(found[0])
	}
	return nil
}

// pass is the way on of a proxy_pass.
func (b *block) pass(match, to string) Row {
	path, address, secure := target(to)
	carries := "HTTP/1.0"
	if v := b.get("proxy_http_version"); len(v) > 0 {
		carries = "HTTP/" + v[0]
	}
	if b.sends("Upgrade") {
		carries += ", upgrades"
	}
	if path != "" {
		carries += ", path becomes " + path
	}
	return Row{Match: match, Carries: words(carries, secure), addresses: b.servers(address)}
}

// sends says whether a header of the client's is passed on. Those of an outer
// block count only where the inner one has none of its own.
func (b *block) sends(header string) bool {
	for ; b != nil; b = b.outer {
		found := b.all("proxy_set_header")
		for _, d := range found {
			if w := arguments(d); strings.EqualFold(w[0], header) && w[1] != "" {
				return true
			}
		}
		if len(found) > 0 {
			return false
		}
	}
	return false
}

// target takes a URL of proxy_pass or grpc_pass apart.
func target(url string) (path, address, secure string) {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		rest = url
	}
	if scheme == "https" || scheme == "grpcs" {
		secure = "TLS"
	}
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		rest, path = rest[:i], rest[i:]
	}
	return path, rest, secure
}

// returns adds what a block answers by itself.
func (b *Box) returns(l *block, match string) {
	w := own(l, "return")
	if w == nil {
		return
	}
	answer := w[0]
	if len(w) > 1 && strings.Contains(w[1], "://") {
		answer += " " + w[1]
	}
	b.Rows = append(b.Rows, Row{Match: match, Answer: answer})
}
