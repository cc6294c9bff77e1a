package vhost

import (
	"strings"

	"kasgen/internal/nginxconf"
)

// text is a word of the file with its variables, as it reads for one request.
type text struct {
	fixed string
	parts []part // nil: fixed
}

type part struct {
	fixed    string
	variable *variable
	capture  int // $1 to $9, 0 for none
}

// of is the text for a request.
func (t *text) of(q *request) string {
	if t.parts == nil {
		return t.fixed
	}
	return joined(t.parts, q, "")
}

// joined puts parts together; captures are escaped by special, if it is set.
func joined(parts []part, q *request, special string) string {
	if len(parts) == 1 && special == "" {
		return parts[0].of(q)
	}
	var b strings.Builder
	for _, p := range parts {
		s := p.of(q)
		if p.capture > 0 && special != "" {
			s = escape(s, special)
		}
		b.WriteString(s)
	}
	return b.String()
}

func (p part) of(q *request) string {
	switch {
	case p.capture > 0:
		return q.capture(p.capture)
	case p.variable != nil:
		return p.variable.of(q)
	default:
		return p.fixed
	}
}

// text reads w.
func (l *loader) text(w nginxconf.Word) *text {
	t := &text{}
	if !strings.Contains(w.Value, "$") {
		t.fixed = w.Value
		return t
	}
	for _, p := range l.Parts(w) {
		switch {
		case p.Variable == "":
			t.parts = append(t.parts, part{fixed: p.Text})
		case len(p.Variable) == 1 && p.Variable[0] >= '1' && p.Variable[0] <= '9':
			t.parts = append(t.parts, part{capture: int(p.Variable[0] - '0')})
		default:
			t.parts = append(t.parts, part{variable: l.refer(p.Variable, w)})
		}
	}
	return t
}

// static tells whether a text is the same for every request.
func (t *text) static() bool { return t.parts == nil }
