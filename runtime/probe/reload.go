package probe

import (
	"context"
	"fmt"
	"strings"
	"time"

	"kasgen/internal/diag"
	"kasgen/internal/haproxyconf"
	"kasgen/internal/nginxconf"
)

// soonest is how long an old process has to live on after a reload, at least.
// kas looks for an agent for 20 s before it answers 502, and agents that were
// cut try again every 20 s at the latest: who is ended before that loses
// requests that kas would still have answered, and with frequent reloads agents
// that are only just back.
const soonest = 20 * time.Second

// ending is a limit for what stays with an old process after a reload.
type ending struct {
	at    diag.Pos
	text  string // as the file has it
	after time.Duration
}

// checkReload looks for limits that end streams soon after a reload. Only a
// reload would show it on the way, and a probe changes nothing, so that it is
// the files that are read.
func (e *endpoint) checkReload(context.Context) Check { return e.s.o.Bundle.reload() }

func (b *Bundle) reload() Check {
	if b.web == nil && b.stream == nil && b.haproxy == nil {
		return skipped("the bundle has no file of nginx or HAProxy")
	}
	var early []ending
	var meant []string
	for _, l := range b.endings() {
		switch {
		case l.after >= soonest:
		case b.written[l.at.File]: // what kasgen.yaml asks for is no accident
			meant = append(meant, l.text)
		default:
			early = append(early, l)
		}
	}
	if len(early) == 0 && len(meant) > 0 {
		return passed("streams end soon after a reload, as timeouts.drain of kasgen.yaml has it: %s", strings.Join(meant, ", "))
	}
	if len(early) == 0 {
		return passed("nothing in the files ends streams within %v of a reload", soonest)
	}
	var said []string
	worst := early[0]
	for _, l := range early {
		said = append(said, l.text)
		if l.after < worst.after {
			worst = l
		}
	}
	c := failed(codeReload, "streams end soon after each reload: "+strings.Join(said, ", "),
		fmt.Sprintf("open streams stay with the old process, which is ended then, and each renewed certificate is a reload: agents, kubectl exec, logs, port-forward and watches are cut; below %v so are requests for which kas still looks for an agent", soonest),
		"take the limit away, or raise it to as long as streams may live on; kasgen writes 30s, or timeouts.drain of kasgen.yaml").warned()
	c.At, c.Line = &worst.at, "streams have "+worst.after.String()+" from a reload to their end"
	return c
}

// endings are the limits of every program; one of 0 is none, for both.
func (b *Bundle) endings() []ending {
	var list []ending
	add := func(at diag.Pos, words []string, parse func(string) (time.Duration, bool)) {
		if len(words) < 2 {
			return
		}
		if d, ok := parse(words[1]); ok && d > 0 {
			list = append(list, ending{at, strings.Join(words, " "), d})
		}
	}
	for _, f := range []*nginxconf.File{b.web, b.stream} {
		if f == nil {
			continue
		}
		for _, d := range within(f.Directives, "worker_shutdown_timeout") {
			add(d.Name.Pos, append([]string{d.Name.Value}, d.Values()...), func(text string) (time.Duration, bool) { return nginxTime([]string{text}) })
		}
	}
	if b.haproxy == nil {
		return list
	}
	var last *haproxyconf.Line // holds
	for _, s := range b.haproxy.Sections {
		for _, l := range s.Lines {
			if s.Keyword() == "global" && l.Words[0].Value == "hard-stop-after" {
				last = l
			}
		}
	}
	if last != nil {
		add(last.Words[0].Pos, last.Values(), haproxyTime)
	}
	return list
}
