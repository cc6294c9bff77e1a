package haproxy

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"kasgen/internal/haproxyconf"
)

// httpRule is a line http-request or http-response: it ends the request with
// a status, or changes a header.
type httpRule struct {
	cond   *condition
	ends   bool
	status int // of an end; 0 lets the request pass without further rules
	change func(v *view, h http.Header)
}

// defaultDeny is HAProxy's.
const defaultDeny = http.StatusForbidden

// denyStatuses are those for which HAProxy has an answer.
var denyStatuses = [...]int{200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 425, 429, 500, 501, 502, 503, 504}

func (l *loader) httpRequest(p *proxy, line *haproxyconf.Line) {
	if r, ok := l.httpRule(p, line); ok {
		p.requests = append(p.requests, r)
	}
}

func (l *loader) httpResponse(p *proxy, line *haproxyconf.Line) {
	r, ok := l.httpRule(p, line)
	if !ok {
		return
	}
	if len(r.cond.suites) > 0 {
		l.unsupported(line.Words[0], "http-response with a condition", "the embedded balancer forgets the request by then", "remove the condition")
		return
	}
	if r.ends {
		l.unsupported(line.Words[1], "http-response "+line.Words[1].Value, "the embedded balancer changes headers of answers, no more", "remove the line")
		return
	}
	p.answers = append(p.answers, r)
}

var httpActions = [...]string{"deny", "allow", "set-header", "add-header", "del-header"}

func (l *loader) httpRule(p *proxy, line *haproxyconf.Line) (httpRule, bool) {
	if !l.count(line, 1, 1, -1) {
		return httpRule{}, false
	}
	action := line.Words[1]
	words := line.Words[2:]
	var r httpRule
	switch action.Value {
	case "allow":
		r.ends = true
	case "deny":
		r.ends, r.status = true, defaultDeny
		for len(words) > 0 && words[0].Value != "if" && words[0].Value != "unless" {
			if words[0].Value != "deny_status" && words[0].Value != "status" || len(words) < 2 {
				l.unsupported(words[0], "http-request deny "+words[0].Value, "the embedded balancer answers with a status and its own words", "write deny_status and a number")
				return r, false
			}
			n, err := strconv.Atoi(words[1].Value)
			if err != nil || !slices.Contains(denyStatuses[:], n) {
				l.arguments(words[1], "%q is no status that HAProxy denies with", words[1].Value)
			}
			r.status, words = n, words[2:]
		}
	case "set-header", "add-header":
		if !l.count(line, 2, 2, -1) {
			return r, false
		}
		name, ok := l.headerName(words[0])
		value := l.format(words[1])
		if !ok || value == nil {
			return r, false
		}
		r.change = func(v *view, h http.Header) { h.Add(name, value(v)) }
		if action.Value == "set-header" {
			r.change = func(v *view, h http.Header) { h.Set(name, value(v)) }
		}
		words = words[2:]
	case "del-header":
		if !l.count(line, 2, 1, -1) {
			return r, false
		}
		name, ok := l.headerName(words[0])
		if !ok {
			return r, false
		}
		r.change = func(_ *view, h http.Header) { h.Del(name) }
		words = words[1:]
		if len(words) > 0 && words[0].Value == "-m" {
			l.unsupported(words[0], "del-header -m", "the embedded balancer removes headers by their name", "write the name")
			return r, false
		}
	default:
		l.unknown(action, line.Words[0].Value, httpActions[:])
		return r, false
	}
	r.cond = l.condition(p, words)
	return r, true
}

// headerName reads the name of a header that rules may change.
func (l *loader) headerName(w haproxyconf.Word) (string, bool) {
	name := http.CanonicalHeaderKey(w.Value)
	if !httpguts.ValidHeaderFieldName(w.Value) {
		l.arguments(w, "%q is not the name of a header", w.Value)
		return "", false
	}
	if slices.Contains([]string{"Connection", "Content-Length", "Host", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}, name) {
		l.unsupported(w, "a rule that changes "+name, "it says where a message ends, or whom it is for", "remove the line")
		return "", false
	}
	return name, true
}

// format reads a value: words, %% and %[src].
func (l *loader) format(w haproxyconf.Word) func(*view) string {
	var parts []func(*view) string
	constant := func(s string) { parts = append(parts, func(*view) string { return s }) }
	for rest := w.Value; rest != ""; {
		before, after, found := strings.Cut(rest, "%")
		constant(before)
		if !found {
			break
		}
		switch {
		case strings.HasPrefix(after, "%"):
			constant("%")
			rest = after[1:]
		case strings.HasPrefix(after, "[src]"):
			parts = append(parts, func(v *view) string { return v.Client.Addr().String() })
			rest = after[len("[src]"):]
		default:
			l.unsupported(w, "the value "+w.Value, "the embedded balancer writes words and %[src]", "write one of these, and %% for a percent sign")
			return nil
		}
	}
	if !httpguts.ValidHeaderFieldValue(w.Value) {
		l.arguments(w, "%q cannot be the value of a header", w.Value)
		return nil
	}
	return func(v *view) string {
		var b strings.Builder
		for _, p := range parts {
			b.WriteString(p(v))
		}
		return b.String()
	}
}

// forwardFor is `option forwardfor`.
type forwardFor struct {
	header string
	ifNone bool
	except netip.Prefix
}

func (l *loader) forwardFor(words []haproxyconf.Word, on bool) *forwardFor {
	if !on {
		return nil
	}
	f := &forwardFor{header: "X-Forwarded-For"}
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case w.Value == "if-none":
			f.ifNone = true
		case w.Value == "header" && i+1 < len(words):
			i++
			if name, ok := l.headerName(words[i]); ok {
				f.header = name
			}
		case w.Value == "except" && i+1 < len(words):
			i++
			p, err := netip.ParsePrefix(words[i].Value)
			if a, errAddr := netip.ParseAddr(words[i].Value); errAddr == nil {
				p, err = netip.PrefixFrom(a, a.BitLen()), nil
			}
			if err != nil {
				l.arguments(words[i], "%q is not an address or a network", words[i].Value)
			}
			f.except = p.Masked()
		default:
			l.unknown(w, "option forwardfor", []string{"except", "header", "if-none"})
		}
	}
	return f
}

// apply adds the client's address.
func (f *forwardFor) apply(v *view) {
	if f == nil || f.except.IsValid() && f.except.Contains(v.Client.Addr()) {
		return
	}
	h := v.request.header
	if f.ifNone && len(h[f.header]) > 0 {
		return
	}
	h.Add(f.header, v.Client.Addr().String())
}
