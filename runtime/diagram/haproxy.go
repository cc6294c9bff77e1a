package diagram

import (
	"slices"
	"strings"

	"kasgen/internal/haproxyconf"
)

// haproxyBoxes are the frontends; backends are the ways on from them.
func haproxyBoxes(f *haproxyconf.File) []*Box {
	backends := map[string]*haproxyconf.Section{}
	for _, s := range f.Sections {
		if s.Keyword() == "backend" || s.Keyword() == "listen" {
			backends[s.Name()] = s
		}
	}
	var boxes []*Box
	mode := "tcp"
	for _, s := range f.Sections {
		switch s.Keyword() {
		case "defaults":
			mode = modeOf(s, "tcp")
		case "frontend", "listen":
			boxes = append(boxes, frontend(s, backends, mode))
		}
	}
	return boxes
}

func modeOf(s *haproxyconf.Section, otherwise string) string {
	for _, l := range s.Lines {
		if w := l.Values(); w[0] == "mode" && len(w) > 1 {
			return w[1]
		}
	}
	return otherwise
}

func frontend(s *haproxyconf.Section, backends map[string]*haproxyconf.Section, mode string) *Box {
	b := &Box{Title: "haproxy: " + s.Name(), From: haproxyFile}
	mode = modeOf(s, mode)
	tls, fallback := "TLS passes", "everything"
	if mode == "http" {
		tls = "cleartext: TLS has ended before"
	}
	for _, l := range s.Lines {
		switch w := l.Values(); w[0] {
		case "bind":
			b.bind(w[1:], &tls)
		case "use_backend":
			if len(w) > 2 {
				b.Rows = append(b.Rows, backend(condition(w[2:]), backends[w[1]], mode))
				fallback = "everything else"
			}
		case "default_backend":
			b.Rows = append(b.Rows, backend(fallback, backends[w[1]], mode))
		case "http-request", "tcp-request":
			b.refusal(w, &fallback)
		}
	}
	b.Facts = slices.Insert(b.Facts, len(b.listen), tls)
	if s.Keyword() == "listen" {
		b.Rows = append(b.Rows, backend(fallback, s, mode))
	}
	return b
}

// bind reads a bind line without its keyword.
func (b *Box) bind(w []string, tls *string) {
	b.listen = append(b.listen, strings.Split(w[0], ",")...)
	line := "listens on " + w[0]
	if slices.Contains(w, "accept-proxy") {
		line += ", takes a PROXY header"
	}
	b.fact(line)
	if slices.Contains(w, "ssl") {
		*tls = "ends TLS"
		if alpn := after(w, "alpn"); alpn != "" {
			*tls += ", ALPN " + strings.ReplaceAll(alpn, ",", ", ")
		}
	} else if after(w, "proto") == "h2" {
		*tls = "cleartext HTTP/2: TLS has ended before"
	}
}

// refusal reads a line that may end a connection or answer a request.
func (b *Box) refusal(w []string, fallback *string) {
	line := strings.Join(w, " ")
	switch {
	case strings.HasPrefix(line, "tcp-request content reject"):
		b.Rows = append(b.Rows, Row{Match: cond("no TLS", w[3:]), Answer: "closed"})
	case strings.HasPrefix(line, "http-request deny"):
		code := after(w, "deny_status")
		if code == "" {
			code = "403"
		}
		match := "every request"
		for i, word := range w {
			if word == "if" || word == "unless" {
				match = condition(w[i:])
			}
		}
		b.Rows = append(b.Rows, Row{Match: match, Answer: code})
		*fallback = "everything else"
	}
}

func cond(otherwise string, w []string) string {
	if len(w) == 0 {
		return otherwise
	}
	return condition(w)
}

// condition says in words what is written most, and anything else as it is
// written.
func condition(w []string) string {
	not := ""
	if w[0] == "unless" {
		not = "not "
	}
	inner := w[1:]
	if n := len(inner); n >= 3 && inner[0] == "{" && inner[n-1] == "}" && !slices.Contains(inner[1:n-1], "{") {
		rest := slices.DeleteFunc(slices.Clone(inner[2:n-1]), func(s string) bool { return s == "-i" })
		values := strings.Join(rest, ", ")
		switch inner[1] {
		case "req.ssl_sni", "ssl_fc_sni":
			return not + "SNI " + values
		case "req.ssl_alpn", "ssl_fc_alpn":
			return not + "ALPN " + values
		case "path_beg":
			return not + values + "…"
		case "path":
			return not + "= " + values
		case "hdr(host)", "req.hdr(host)":
			return not + "Host " + values
		}
	}
	return strings.Join(w, " ")
}

// backend is a way on to servers.
func backend(match string, s *haproxyconf.Section, mode string) Row {
	r := Row{Match: match}
	if s == nil {
		r.Answer = "no backend"
		return r
	}
	carries := "TCP"
	if modeOf(s, mode) == "http" {
		carries = "HTTP/1.1"
	}
	header, secure := "", ""
	for _, l := range s.Lines {
		w := l.Values()
		if w[0] != "server" || len(w) < 3 {
			continue
		}
		r.addresses = append(r.addresses, w[2])
		if after(w, "proto") == "h2" {
			carries = "HTTP/2"
		}
		if slices.Contains(w, "ssl") {
			secure = "TLS"
		}
		switch {
		case slices.Contains(w, "send-proxy-v2"):
			header = "PROXY v2"
		case slices.Contains(w, "send-proxy"):
			header = "PROXY v1"
		}
	}
	r.Carries = words(carries, secure, header)
	return r
}

// after is the word behind key.
func after(w []string, key string) string {
	if i := slices.Index(w, key); i >= 0 && i+1 < len(w) {
		return w[i+1]
	}
	return ""
}
