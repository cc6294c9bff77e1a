package haproxy

import (
	"fmt"
	"strings"

	"kasgen/internal/haproxyconf"
	"kasgen/runtime/balancer"
)

// result is HAProxy's three-valued truth: a miss may still become a match
// when more bytes have come. The values make OR and AND bitwise.
type result uint8

const (
	fail result = 0
	miss result = 1
	pass result = 3
)

// not keeps a miss: pass becomes fail and fail becomes pass.
func (r result) not() result { return pass >> r }

// view is what a condition looks at: a client, and in mode http its request.
type view struct {
	*balancer.View
	request *request
}

// test looks at a client; final says that no more bytes will come.
type test func(v *view, final bool) result

// acl is the tests of one name, of which one must match.
type acl []test

func (a acl) eval(v *view, final bool) result {
	r := fail
	for _, t := range a {
		if r |= t(v, final); r == pass {
			break
		}
	}
	return r
}

type term struct {
	negated bool
	acl     acl
}

// condition is alternatives of terms that must all hold; an empty one holds
// always.
type condition struct {
	unless bool
	suites [][]term
}

func (c *condition) eval(v *view, final bool) result {
	if len(c.suites) == 0 {
		return pass
	}
	r := fail
	for _, suite := range c.suites {
		s := pass
		for _, t := range suite {
			got := t.acl.eval(v, final)
			if t.negated {
				got = got.not()
			}
			if s &= got; s != pass {
				break
			}
		}
		if r |= s; r == pass {
			break
		}
	}
	if c.unless {
		return r.not()
	}
	return r
}

// condition reads what stands behind a rule: nothing, or if or unless with
// ACL names and anonymous ACLs.
func (l *loader) condition(p *proxy, words []haproxyconf.Word) *condition {
	c := &condition{}
	if len(words) == 0 {
		return c
	}
	switch words[0].Value {
	case "if":
	case "unless":
		c.unless = true
	default:
		l.arguments(words[0], "expected if or unless, not %q", words[0].Value)
		return c
	}
	if len(words) == 1 {
		l.arguments(words[0], "%s without a condition", words[0].Value)
		return c
	}
	suite := []term{}
	negated := false
	for i := 1; i < len(words); i++ {
		w := words[i]
		if w.Value == "||" || strings.EqualFold(w.Value, "or") {
			if len(suite) == 0 || negated {
				l.arguments(w, "%q stands where an ACL is expected", w.Value)
			}
			c.suites, suite = append(c.suites, suite), []term{}
			continue
		}
		for strings.HasPrefix(w.Value, "!") {
			negated = !negated
			w.Value = w.Value[1:]
			w.Pos.Column++
		}
		if w.Value == "" {
			continue
		}
		t := term{negated: negated}
		negated = false
		if w.Value != "{" {
			t.acl = l.named(p, w)
			suite = append(suite, t)
			continue
		}
		end := i + 1
		for end < len(words) && words[end].Value != "}" {
			end++
		}
		if end == len(words) {
			l.arguments(w, "the anonymous ACL is not closed: a } of its own is missing")
			return c
		}
		if tt := l.expression(p, words[i+1:end], w); tt != nil {
			t.acl = acl{tt}
		}
		suite = append(suite, t)
		i = end
	}
	if len(suite) == 0 || negated {
		l.arguments(words[len(words)-1], "the condition ends where an ACL is expected")
	}
	c.suites = append(c.suites, suite)
	return c
}

func (l *loader) named(p *proxy, w haproxyconf.Word) acl {
	if a, ok := p.acls[w.Value]; ok {
		return a
	}
	switch w.Value {
	case "TRUE":
		return acl{func(*view, bool) result { return pass }}
	case "FALSE":
		return acl{func(*view, bool) result { return fail }}
	case "WAIT_END":
		return acl{func(_ *view, final bool) result {
			if final {
				return pass
			}
			return miss
		}}
	case "REQ_CONTENT":
		return acl{func(v *view, final bool) result {
			return matchOr(len(v.Payload) > 0, true, final)
		}}
	}
	what := "ACL"
	if strings.HasPrefix(w.Value, "{") {
		what = "ACL (braces are words of their own)"
	}
	l.reference(w, what, append(names(p.acls), "TRUE", "FALSE", "WAIT_END", "REQ_CONTENT"))
	return nil
}

// acl reads `acl NAME EXPRESSION`; further lines of a name are alternatives.
func (l *loader) acl(p *proxy, line *haproxyconf.Line) {
	if !l.count(line, 1, 2, -1) {
		return
	}
	name := line.Words[1]
	if strings.EqualFold(name.Value, "or") || strings.ContainsAny(name.Value, "!{}|") {
		l.arguments(name, "%q cannot be the name of an ACL", name.Value)
		return
	}
	t := l.expression(p, line.Words[2:], name)
	if t == nil {
		t = func(*view, bool) result { return fail } // it was refused
	}
	p.acls[name.Value] = append(p.acls[name.Value], t)
}

// matchOr is a test's answer: a match, or a miss where bytes may still change
// it.
func matchOr(matched, mayChange, final bool) result {
	switch {
	case matched:
		return pass
	case mayChange && !final:
		return miss
	default:
		return fail
	}
}

// rule is a line `tcp-request content`.
type rule struct {
	accept bool
	cond   *condition
}

// backendRule is a line `use_backend`.
type backendRule struct {
	name haproxyconf.Word
	cond *condition
}

func (l *loader) tcpRequest(p *proxy, line *haproxyconf.Line) {
	if !l.count(line, 1, 2, -1) {
		return
	}
	if p.http() {
		l.unsupported(line.Words[0], "tcp-request in mode http", "the embedded balancer looks at whole requests there", "write http-request, or mode tcp")
		return
	}
	switch kind := line.Words[1]; kind.Value {
	case "inspect-delay":
		if l.count(line, 2, 1, 1) {
			p.inspect = l.duration(line.Words[2])
		}
	case "content":
		action := line.Words[2]
		if action.Value != "accept" && action.Value != "reject" {
			l.unsupported(action, "tcp-request content "+action.Value, "the embedded balancer only accepts and rejects", "write accept or reject")
			return
		}
		p.rules = append(p.rules, rule{accept: action.Value == "accept", cond: l.condition(p, line.Words[3:])})
	case "connection", "session":
		l.unsupported(kind, "tcp-request "+kind.Value, "the embedded balancer looks at clients once, when their first bytes are there", "write tcp-request content")
	default:
		l.unknown(kind, "tcp-request", []string{"inspect-delay", "content"})
	}
}

func (l *loader) useBackend(p *proxy, line *haproxyconf.Line) {
	if !l.count(line, 1, 1, -1) {
		return
	}
	name := line.Words[1]
	if strings.Contains(name.Value, "%") {
		l.unsupported(name, fmt.Sprintf("a computed backend %q", name.Value), "which backends there are must be known before a client comes", "write one use_backend line for each")
		return
	}
	p.switches = append(p.switches, backendRule{name: name, cond: l.condition(p, line.Words[2:])})
}
