package haproxy

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"kasgen/internal/haproxyconf"
	"kasgen/runtime/balancer"
)

// fetch gets values from a client; mayChange says that more bytes may bring
// others, or some where there are none.
type fetch func(v *view) (values []string, mayChange bool)

// number is a fetch of a number, if ok.
type number func(v *view) (n int, ok, mayChange bool)

var fetchNames = [...]string{
	"req.ssl_hello_type", "req.ssl_sni", "req.ssl_alpn", "ssl_fc", "ssl_fc_sni", "ssl_fc_alpn", "req.len", "req.payload(0,4)", "src",
	"path", "path_beg", "path_end", "path_sub", "method", "hdr(host)", "req.hdr(host)", "hdr_beg(host)", "hdr_end(host)", "hdr_sub(host)",
}

// rawFetches look at the first bytes of a connection.
var rawFetches = [...]string{"req.ssl_hello_type", "req_ssl_hello_type", "req.ssl_sni", "req_ssl_sni", "req.ssl_alpn", "req.len", "req_len", "req.payload"}

// expression reads a sample fetch with flags and patterns. opener is the word
// before it. Nil means that it was refused.
func (l *loader) expression(p *proxy, words []haproxyconf.Word, opener haproxyconf.Word) test {
	if len(words) == 0 {
		l.arguments(opener, "an ACL without an expression")
		return nil
	}
	w := words[0]
	name, args, hasArgs := strings.Cut(w.Value, "(")
	if p.http() && slices.Contains(rawFetches[:], name) {
		l.unsupported(w, name+" in mode http", "the bytes have become a request there", "look at the request, or at ssl_fc_sni")
		return nil
	}
	if how, ok := httpFetches[name]; ok {
		return l.httpExpression(p, words, how, args, hasArgs)
	}
	switch name {
	case "ssl_fc":
		if len(words) > 1 {
			l.arguments(words[1], "ssl_fc is true or false: there is nothing to compare with")
		}
		return func(v *view, final bool) result { return matchOr(v.TLS != nil, false, final) }
	case "req.ssl_hello_type", "req_ssl_hello_type":
		return l.numeric(helloType, words)
	case "req.len", "req_len":
		return l.numeric(func(v *view) (int, bool, bool) { return len(v.Payload), true, true }, words)
	case "req.ssl_sni", "req_ssl_sni":
		return l.text(helloName, words, "str")
	case "req.ssl_alpn":
		return l.text(helloALPN, words, "str")
	case "ssl_fc_sni":
		return l.text(tlsName, words, "str")
	case "ssl_fc_alpn":
		return l.text(tlsALPN, words, "str")
	case "req.payload":
		if f := l.payload(w, args, hasArgs); f != nil {
			return l.text(f, words, "str")
		}
		return nil
	case "src":
		return l.source(words)
	default:
		l.unknown(w, "an ACL", fetchNames[:])
		return nil
	}
}

func helloType(v *view) (int, bool, bool) {
	_, state := v.Hello()
	return 1, state == balancer.HelloDone, state == balancer.HelloMore
}

func helloName(v *view) ([]string, bool) {
	h, state := v.Hello()
	if h.ServerName == "" {
		return nil, state == balancer.HelloMore
	}
	return []string{h.ServerName}, false
}

func helloALPN(v *view) ([]string, bool) {
	h, state := v.Hello()
	return h.ALPN, state == balancer.HelloMore
}

func tlsName(v *view) ([]string, bool) {
	if v.TLS == nil || v.TLS.ServerName == "" {
		return nil, false
	}
	return []string{v.TLS.ServerName}, false
}

func tlsALPN(v *view) ([]string, bool) {
	if v.TLS == nil || v.TLS.NegotiatedProtocol == "" {
		return nil, false
	}
	return []string{v.TLS.NegotiatedProtocol}, false
}

// payload reads req.payload(OFFSET,LENGTH).
func (l *loader) payload(w haproxyconf.Word, args string, ok bool) fetch {
	args, closed := strings.CutSuffix(args, ")")
	a, b, two := strings.Cut(args, ",")
	offset, err1 := strconv.ParseUint(strings.TrimSpace(a), 10, 16)
	length, err2 := strconv.ParseUint(strings.TrimSpace(b), 10, 16)
	if !ok || !closed || !two || err1 != nil || err2 != nil || length == 0 || offset+length > peekSize {
		l.arguments(w, "%q is not req.payload(OFFSET,LENGTH) within the first %d bytes", w.Value, peekSize)
		return nil
	}
	end := int(offset + length)
	return func(v *view) ([]string, bool) {
		if len(v.Payload) < end {
			return nil, true
		}
		return []string{string(v.Payload[offset:end])}, false
	}
}

// numeric compares with numbers, ranges such as 4:9, and gt, ge, eq, le, lt.
func (l *loader) numeric(f number, words []haproxyconf.Word) test {
	var matches []func(int) bool
	patterns := words[1:]
	for i := 0; i < len(patterns); i++ {
		w := patterns[i]
		compare := map[string]func(a, b int) bool{
			"gt": func(a, b int) bool { return a > b }, "ge": func(a, b int) bool { return a >= b },
			"eq": func(a, b int) bool { return a == b },
			"le": func(a, b int) bool { return a <= b }, "lt": func(a, b int) bool { return a < b },
		}[w.Value]
		if compare != nil {
			if i++; i == len(patterns) {
				l.arguments(w, "%s wants a number", w.Value)
				return nil
			}
			n := l.number(patterns[i], 0, 1<<30)
			matches = append(matches, func(got int) bool { return compare(got, n) })
			continue
		}
		low, high, ranged := strings.Cut(w.Value, ":")
		from := l.bound(w, low, 0)
		to := from
		if ranged {
			to = l.bound(w, high, 1<<30)
		}
		matches = append(matches, func(got int) bool { return from <= got && got <= to })
	}
	if len(matches) == 0 {
		l.arguments(words[0], "%s has nothing to be compared with", words[0].Value)
		return nil
	}
	return func(v *view, final bool) result {
		n, ok, mayChange := f(v)
		matched := ok && slices.ContainsFunc(matches, func(m func(int) bool) bool { return m(n) })
		return matchOr(matched, mayChange, final)
	}
}

func (l *loader) bound(w haproxyconf.Word, text string, empty int) int {
	if text == "" {
		return empty
	}
	return l.number(haproxyconf.Word{Value: text, Pos: w.Pos}, 0, 1<<30)
}

// text compares with strings, in the way that -m and -i say; how is the way
// without -m.
func (l *loader) text(f fetch, words []haproxyconf.Word, how string) test {
	fold := false
	patterns := words[1:]
flags:
	for len(patterns) > 0 && strings.HasPrefix(patterns[0].Value, "-") {
		flag := patterns[0]
		patterns = patterns[1:]
		switch flag.Value {
		case "-i":
			fold = true
		case "-m":
			if len(patterns) == 0 {
				l.arguments(flag, "-m wants a way to match")
				return nil
			}
			how = patterns[0].Value
			if !slices.Contains([]string{"str", "beg", "end", "sub", "found"}, how) {
				l.unsupported(patterns[0], "-m "+how, "the embedded balancer compares strings", "write -m str, beg, end, sub or found")
				return nil
			}
			patterns = patterns[1:]
		case "--":
			break flags
		default:
			l.unsupported(flag, flag.Value, "the embedded balancer knows -i, -m and --", "write the patterns on the line")
			return nil
		}
	}
	if how == "found" {
		if len(patterns) > 0 {
			l.arguments(patterns[0], "-m found takes no patterns")
		}
		return func(v *view, final bool) result {
			values, mayChange := f(v)
			return matchOr(len(values) > 0, mayChange, final)
		}
	}
	if len(patterns) == 0 {
		l.arguments(words[0], "%s has nothing to be compared with, so it never matches", words[0].Value)
		return nil
	}
	match := map[string]func(s, pattern string) bool{
		"str": func(s, p string) bool { return s == p }, "beg": strings.HasPrefix, "end": strings.HasSuffix, "sub": strings.Contains,
	}[how]
	want := make([]string, len(patterns))
	for i, p := range patterns {
		want[i] = p.Value
		if fold {
			want[i] = strings.ToLower(p.Value)
		}
	}
	return func(v *view, final bool) result {
		values, mayChange := f(v)
		for _, s := range values {
			if fold {
				s = strings.ToLower(s)
			}
			for _, p := range want {
				if match(s, p) {
					return pass
				}
			}
		}
		return matchOr(false, mayChange, final)
	}
}

// source compares the client's address with addresses and networks.
func (l *loader) source(words []haproxyconf.Word) test {
	var nets []netip.Prefix
	for _, w := range words[1:] {
		p, err := netip.ParsePrefix(w.Value)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(w.Value); err == nil {
				p = netip.PrefixFrom(a, a.BitLen())
			}
		}
		if err != nil {
			l.arguments(w, "%q is not an address or a network", w.Value)
			continue
		}
		nets = append(nets, p.Masked())
	}
	if len(nets) == 0 {
		l.arguments(words[0], "src has nothing to be compared with")
	}
	return func(v *view, final bool) result {
		in := slices.ContainsFunc(nets, func(p netip.Prefix) bool { return p.Contains(v.Client.Addr()) })
		return matchOr(in, false, final)
	}
}
