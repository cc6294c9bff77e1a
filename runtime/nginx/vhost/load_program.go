package vhost

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"kasgen/internal/nginxconf"
)

// program reads the rewriting of one block.
func (l *loader) program(ds []*nginxconf.Directive, in block) program {
	var out program
	for _, d := range ds {
		var do instruction
		switch d.Name.Value {
		case "set":
			do = l.set(d)
		case "if":
			do = l.when(d, in)
		case "return":
			do = l.respond(d)
		case "rewrite":
			do = l.rewriting(d)
		case "break":
			if l.Simple(d, 0, 0) {
				do = stopHere
			}
		}
		if do != nil {
			out = append(out, do)
		}
	}
	return out
}

func (l *loader) set(d *nginxconf.Directive) instruction {
	if !l.Simple(d, 2, 2) {
		return nil
	}
	v := l.define(d.Args[0])
	if v == nil {
		return nil
	}
	return setTo(v, l.text(d.Args[1]))
}

func (l *loader) respond(d *nginxconf.Directive) instruction {
	if !l.Simple(d, 1, 2) {
		return nil
	}
	first := d.Args[0]
	status, err := strconv.Atoi(first.Value)
	if err != nil {
		if len(d.Args) == 2 || !strings.HasPrefix(first.Value, "http://") && !strings.HasPrefix(first.Value, "https://") && !strings.HasPrefix(first.Value, "$scheme") {
			l.Arguments(first, "invalid return code %q", first.Value)
			return nil
		}
		return respond(http.StatusFound, l.text(first))
	}
	if status < 0 || status > 999 {
		l.Arguments(first, "invalid return code %q", first.Value)
		return nil
	}
	if status < 200 {
		l.Unsupported(first, "an answer of 1xx is none", "return 200 or more")
		return nil
	}
	if len(d.Args) == 1 {
		if isRedirect(status) {
			l.Arguments(first, "return %d says no place to go", status)
		}
		return respond(status, nil)
	}
	return respond(status, l.text(d.Args[1]))
}

// rewriting reads `rewrite PATTERN REPLACEMENT [FLAG]`.
func (l *loader) rewriting(d *nginxconf.Directive) instruction {
	if !l.Simple(d, 2, 3) {
		return nil
	}
	w := &rewriting{pattern: l.pattern(d.Args[0], d.Args[0].Value), addArgs: true}
	to := d.Args[1]
	for _, scheme := range []string{"http://", "https://", "$scheme"} {
		if strings.HasPrefix(to.Value, scheme) {
			w.status = http.StatusFound
		}
	}
	if len(d.Args) == 3 {
		switch w.flag = flag(d.Args[2].Value); w.flag {
		case flagRedirect:
			w.status = http.StatusFound
		case flagPermanent:
			w.status = http.StatusMovedPermanently
		case flagLast, flagBreak:
		default:
			l.Unknown(d.Args[2], "rewrite", []string{"last", "break", "redirect", "permanent"})
		}
	}
	if rest, ok := strings.CutSuffix(to.Value, "?"); ok {
		to.Value, w.addArgs = rest, false
	}
	path, args, has := strings.Cut(to.Value, "?")
	w.newArgs = has
	w.path = l.partsOf(nginxconf.Word{Value: path, Pos: to.Pos})
	w.args = l.partsOf(nginxconf.Word{Value: args, Pos: to.Pos})
	if w.pattern == nil {
		return nil
	}
	return w.do
}

// partsOf is a text as parts, even if it has no variable.
func (l *loader) partsOf(w nginxconf.Word) []part {
	t := l.text(w)
	if t.parts == nil {
		return []part{{fixed: t.fixed}}
	}
	return t.parts
}

// when reads an if block.
func (l *loader) when(d *nginxconf.Directive, in block) instruction {
	if !l.Block(d, 1, -1) {
		return nil
	}
	condition := l.condition(d)
	var steps []*nginxconf.Directive
	for _, c := range d.Block.Directives {
		switch c.Name.Value {
		case "set", "return", "rewrite", "break":
			steps = append(steps, c)
		case "if":
			l.misplaced(c.Name, inIf)
		default:
			if _, known := l.settings[c.Name.Value]; known || c.Name.Value == "proxy_pass" || c.Name.Value == "grpc_pass" {
				l.Unsupported(c.Name, "in an if block the embedded runtime has set, return, rewrite and break", "let a map decide, or return another answer")
			} else {
				l.Unknown(c.Name, "if", []string{"set", "return", "rewrite", "break"})
			}
		}
	}
	then := l.program(steps, in)
	if condition == nil {
		return nil
	}
	return when(condition, then)
}

// condition reads what stands in the parentheses of an if.
func (l *loader) condition(d *nginxconf.Directive) func(*request) bool {
	words := append([]nginxconf.Word(nil), d.Args...)
	last := len(words) - 1
	if !strings.HasPrefix(words[0].Value, "(") || !strings.HasSuffix(words[last].Value, ")") || len(words) == 1 && len(words[0].Value) < 3 {
		l.Arguments(d.Args[0], "invalid condition %q", d.Args[0].Value)
		return nil
	}
	words[0].Value = words[0].Value[1:]
	words[last].Value = words[last].Value[:len(words[last].Value)-1]
	if words[last].Value == "" {
		words = words[:last]
	}
	if len(words) > 0 && words[0].Value == "" {
		words = words[1:]
	}
	switch {
	case len(words) > 0 && strings.HasPrefix(strings.TrimPrefix(words[0].Value, "!"), "-"):
		l.Unsupported(words[0], "the embedded runtime looks for no files in conditions", "let a location decide")
		return nil
	case len(words) == 0 || !strings.HasPrefix(words[0].Value, "$") || len(words) != 1 && len(words) != 3:
		l.Arguments(d.Args[0], "invalid condition %q", d.Args[0].Value)
		return nil
	}
	value := l.text(words[0])
	if len(words) == 1 {
		return func(q *request) bool { s := value.of(q); return s != "" && s != "0" }
	}
	operator, right := words[1].Value, words[2]
	expr, negated := right.Value, strings.HasPrefix(operator, "!")
	switch strings.TrimPrefix(operator, "!") {
	case "=":
		other := l.text(right)
		return func(q *request) bool { return (value.of(q) == other.of(q)) != negated }
	case "~*":
		return l.matches(value, l.pattern(right, "(?i)"+expr), negated)
	case "~":
		return l.matches(value, l.pattern(right, expr), negated)
	}
	l.Arguments(words[1], "unexpected %q in condition", operator)
	return nil
}

func (l *loader) matches(value *text, re *regexp.Regexp, negated bool) func(*request) bool {
	if re == nil {
		return nil
	}
	return func(q *request) bool {
		groups := re.FindStringSubmatch(value.of(q))
		if groups != nil && !negated {
			q.matched(re, groups)
		}
		return (groups != nil) != negated
	}
}
