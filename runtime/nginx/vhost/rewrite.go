package vhost

import (
	"net/http"
	"regexp"
	"strings"
)

// program is the set, if, return, rewrite and break of one block, in order.
type program []instruction

// instruction does its part, and tells where the request goes on, if not with
// the next one. next is where a path that was rewritten goes on.
type instruction func(q *request, next step) (step, verdict)

type verdict int

const (
	onward verdict = iota
	stop           // the rest of the program is left out
	ended          // and the request goes on elsewhere
)

// rewrite runs p. ended tells that the request goes on at next.
func (q *request) rewrite(p program, next step) (to step, over bool) {
	to, v := p.run(q, next)
	return to, v == ended
}

func (p program) run(q *request, next step) (step, verdict) {
	for _, do := range p {
		if to, v := do(q, next); v != onward {
			return to, v
		}
	}
	return finished, onward
}

func setTo(v *variable, t *text) instruction {
	return func(q *request, _ step) (step, verdict) {
		if v.put != nil {
			v.put(q, t.of(q))
		} else {
			q.keep(v, t.of(q))
		}
		return finished, onward
	}
}

func stopHere(q *request, _ step) (step, verdict) { return finished, stop }

func when(condition func(*request) bool, then program) instruction {
	return func(q *request, next step) (step, verdict) {
		if !condition(q) {
			return finished, onward
		}
		return then.run(q, next)
	}
}

// respond is `return`.
func respond(status int, t *text) instruction {
	return func(q *request, _ step) (step, verdict) {
		switch {
		case status == statusClose:
			q.w.abort()
		case isRedirect(status):
			return q.redirect(status, t.of(q)), ended
		case t != nil && (!t.static() || t.fixed != "") || status < http.StatusBadRequest:
			body := ""
			if t != nil {
				body = t.of(q)
			}
			return q.text(status, body), ended
		}
		return q.fail(status), ended
	}
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// flag is what `rewrite` does after a match.
type flag string

const (
	flagNone      flag = ""
	flagLast      flag = "last"
	flagBreak     flag = "break"
	flagRedirect  flag = "redirect"
	flagPermanent flag = "permanent"
)

// rewriting is a `rewrite` line.
type rewriting struct {
	pattern *regexp.Regexp
	path    []part
	args    []part
	newArgs bool // there is a question mark
	addArgs bool // and none at the end: the old ones are kept
	flag    flag
	status  int // of a redirect, 0 for none
}

func (w *rewriting) do(q *request, _ step) (step, verdict) {
	groups := w.pattern.FindStringSubmatch(q.uri)
	if groups == nil {
		return finished, onward
	}
	q.matched(w.pattern, groups)
	inPath, inQuery := "", ""
	if q.quoted {
		inQuery = inArgs
		if w.status != 0 {
			inPath = inArgs
		}
	}
	path := joined(w.path, q, inPath)
	args := ""
	if w.newArgs {
		args = "?" + joined(w.args, q, inQuery)
	}
	if w.addArgs && q.args != "" && (w.newArgs || w.status != 0) {
		if w.newArgs {
			args += "&" + q.args
		} else {
			args = "?" + q.args
		}
	}
	if w.status != 0 {
		return q.redirect(w.status, path+args), ended
	}
	q.uri = path
	if w.newArgs || !w.addArgs {
		q.args = strings.TrimPrefix(args, "?")
	}
	q.pathChanged, q.internal = true, true
	switch w.flag {
	case flagBreak:
		q.wholePath = true
		return finished, stop
	case flagLast:
		q.rewritten = true
		return finished, stop
	case flagNone, flagRedirect, flagPermanent:
		q.rewritten = true
	}
	return finished, onward
}
