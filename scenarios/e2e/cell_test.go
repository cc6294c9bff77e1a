//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"kasgen/internal/lockfile"
	"kasgen/scenarios/demo"
	"kasgen/scenarios/lab/apiserver"
)

// cell is an action of a kubectl through an agent of a topology.
type cell struct {
	run
	action    action
	want, got demo.Result
	took      time.Duration
	why       string
	again     int // times that kubectl lost something by itself
}

func (c *cell) String() string {
	return fmt.Sprintf("%s, kubectl %s over %s, the %s agent of %s", c.action.name, c.client.version, c.transport.name, c.agent, c.world.name())
}

const (
	// cellLimit is how long one may take on a machine that does many at once.
	cellLimit = 2 * time.Minute
	// adviceLimit is how soon a refusal must come, in the same place.
	adviceLimit = 10 * time.Second
	// advice names what a person should do instead.
	advice = "Use kubectl 1.31 or later"
)

// promised is what the bundle says of a transport.
func promised(w *world, tr transport) demo.Result {
	answer := w.Carries().Kubectl.SPDY
	if tr.protocol == "websocket" {
		answer = w.Carries().Kubectl.WebSocket
	}
	switch answer {
	case lockfile.Yes:
		return demo.Pass
	case lockfile.Refused:
		return demo.Refused
	default:
		return demo.Fail
	}
}

// all are the cells that there are for a pod; name tells them from others.
func all(name string, p pod, worlds []*world, kubectls []client) []*cell {
	var cells []*cell
	for _, op := range actions() {
		for _, k := range kubectls {
			for i, tr := range k.transports {
				if !op.upgrades && i > 0 {
					continue // there is nothing to choose
				}
				for _, w := range worlds {
					for _, a := range w.Agents {
						c := &cell{run: run{world: w, pod: p, client: k, transport: tr, agent: a.Name, id: fmt.Sprintf("%s-%04d", name, len(cells))}, action: op, want: demo.Pass}
						if op.upgrades {
							c.want = promised(w, tr)
						} else {
							c.transport = transport{name: "HTTP"}
						}
						cells = append(cells, c)
					}
				}
			}
		}
	}
	return cells
}

// lost is what a kubectl before 1.34 says where it has read from its WebSocket
// before it had made its streams, and thrown away what came for them
// (kubernetes/kubernetes#131189). Nothing on the way can bring that about.
const lost = ", discarding message"

// tries are enough for what hits one in hundreds.
const tries = 3

// try does it. Where kubectl says that it has lost something by itself, that is
// no verdict on the way, and it is done again, by another name.
func (c *cell) try(ctx context.Context) {
	id := c.id
	for c.once(ctx); c.got == demo.Fail && strings.Contains(c.why, "Unknown stream id") && strings.Contains(c.why, lost) && c.again < tries-1; c.once(ctx) {
		c.again++
		c.id = fmt.Sprintf("%s.%d", id, c.again)
	}
}

func (c *cell) once(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, cellLimit)
	defer cancel()
	var err error
	if c.dir, err = os.MkdirTemp(c.client.home, "cell-"); err == nil {
		began := time.Now()
		err = c.action.do(ctx, &c.run)
		c.took = time.Since(began)
	}
	c.got = demo.Pass
	if err != nil {
		c.got, c.why = demo.Fail, strings.Join(strings.Fields(err.Error()), " ")
		if c.took < adviceLimit && strings.Contains(c.why, advice) {
			c.got = demo.Refused
		}
	}
}

// check holds what kubectl said to what was seen of it: by the agent, which
// was answered by the API server, and by the API server in its audit log.
func (c *cell) check(audited []apiserver.Request) {
	if c.got == demo.Fail {
		return
	}
	fail := func(format string, args ...any) {
		c.got, c.why = demo.Fail, fmt.Sprintf(format, args...)
	}
	want, verbs := []string{c.transport.protocol}, []string{c.transport.verb}
	if c.got == demo.Refused || !c.action.upgrades {
		want, verbs = nil, nil
	}
	got := slices.DeleteFunc(c.world.ObservedOf(c.id+"/"), func(p string) bool { return p == "" })
	if !slices.Equal(got, want) {
		fail("the API server answered the agent with %q, want %q", got, want)
	}
	var seen []string
	for _, r := range audited {
		if r.User != agentUser || r.As != jobUser || !slices.Contains(r.Groups, jobGroup) {
			fail("%s was asked for by %q as %q of %q", r.Path, r.User, r.As, r.Groups)
		}
		if r.Upgraded() && !slices.Contains(seen, r.Verb) {
			seen = append(seen, r.Verb)
		}
	}
	if !slices.Equal(seen, verbs) {
		fail("the audit log has upgrades by %q, want %q", seen, verbs)
	}
	if c.got == demo.Pass && len(audited) == 0 {
		fail("the audit log has nothing of it")
	}
}
