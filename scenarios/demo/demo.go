// Package demo tries every operation through a running lab and says what came
// of it. It knows the operations and the lab, and nothing of how a topology is
// rendered or run. Its law: a cell is what was seen to happen; one that was
// not tried is not there, and a missing cell fails.
package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/streaming/pkg/httpstream"

	"kasgen/scenarios/lab"
	"kasgen/scenarios/operation"
)

// Result of a cell.
type Result string

// The results. Refused is the clear answer that a topology promises in place
// of a transport that it does not carry.
const (
	Pass    Result = "pass"
	Fail    Result = "fail"
	Refused Result = "refused"
	Skip    Result = "skip"
)

// Cell is one operation, through one agent, over one transport.
type Cell struct {
	Operation string `json:"operation"`
	Agent     string `json:"agent"`
	Transport string `json:"transport"` // SPDY, WebSocket or HTTP
	Observed  string `json:"observed"`  // what the API server spoke
	Result    Result `json:"result"`
	MS        int64  `json:"ms"`
	HeadMS    int64  `json:"headMs"` // until the head of the slowest answer
	Reason    string `json:"reason"`
	// NoUpgrade says that the client's upgrade was refused, upon which kubectl
	// falls back from WebSocket to SPDY.
	NoUpgrade bool `json:"-"`
}

// cellLimit is how long one operation may take; on a small machine the slowest
// takes a few seconds.
const cellLimit = 90 * time.Second

// plain is the transport of an operation that upgrades nothing.
const plain = "HTTP"

// Count is how many cells a run with so many agents has.
func Count(agents int) int {
	n := 0
	for _, op := range operation.All() {
		n += len(transports(op))
	}
	return n * agents
}

func transports(op operation.Operation) []operation.Transport {
	if op.Upgrades {
		return []operation.Transport{operation.SPDY, operation.WebSocket}
	}
	return []operation.Transport{operation.Plain}
}

// Try runs every operation through every agent, one after the other, and tells
// of each cell when it is done. An operation that the topology carries must
// end well; one that it refuses is a cell of its own kind only if the refusal
// comes in time and says what to do.
func Try(ctx context.Context, l *lab.Lab, target operation.Target, tell func(Cell)) []Cell {
	var cells []Cell
	for _, a := range l.Agents {
		for _, op := range operation.All() {
			for _, tr := range transports(op) {
				c := try(ctx, l, target, a, op, tr)
				tell(c)
				cells = append(cells, c)
			}
		}
	}
	return cells
}

// One runs one operation through an agent.
func One(ctx context.Context, l *lab.Lab, target operation.Target, a lab.Agent, name string, tr operation.Transport) Cell {
	for _, op := range operation.All() {
		if op.Name == name {
			return try(ctx, l, target, a, op, tr)
		}
	}
	return Cell{Operation: name, Agent: a.Name, Transport: string(tr), Result: Fail, Reason: "there is no such operation"}
}

func try(ctx context.Context, l *lab.Lab, target operation.Target, a lab.Agent, op operation.Operation, tr operation.Transport) Cell {
	c := Cell{Operation: op.Name, Agent: a.Name, Transport: string(tr), Result: Pass}
	if tr == operation.Plain {
		c.Transport = plain
	}
	// By its User-Agent the API server's side tells this cell from others.
	userAgent := fmt.Sprintf("kasgen-demo/%s/%s/%s", a.Name, strings.ReplaceAll(op.Name, " ", "-"), c.Transport)
	target.Config = l.RESTConfig(a, userAgent)
	var slow heads
	target.Config.Wrap(slow.wrap)
	ctx, cancel := context.WithTimeout(ctx, cellLimit)
	defer cancel()
	began := time.Now()
	err := op.Run(ctx, target, tr)
	took := time.Since(began)
	c.MS, c.HeadMS = took.Milliseconds(), slow.ms()
	c.Observed = observed(l.Observed(userAgent))
	c.NoUpgrade = httpstream.IsUpgradeFailure(err)
	switch want := protocol(tr); {
	case advised(err, took) && len(transfers(l.Observed(userAgent))) == 0:
		c.Result, c.Reason = Refused, strings.Join(strings.Fields(err.Error()), " ")
	case err != nil:
		c.Result, c.Reason = Fail, strings.Join(strings.Fields(err.Error()), " ")
	case !slices.Contains(l.Observed(userAgent), want) || len(transfers(l.Observed(userAgent))) > 1:
		c.Result, c.Reason = Fail, fmt.Sprintf("the API server spoke %s, not %s", c.Observed, c.Transport)
	}
	return c
}

// protocol is how the API server names a transport.
func protocol(tr operation.Transport) string {
	switch tr {
	case operation.SPDY:
		return "SPDY/3.1"
	case operation.WebSocket:
		return "websocket"
	case operation.Plain:
		return ""
	default:
		return string(tr)
	}
}

// transfers are the upgrades among protocols; an operation may ask plain
// questions besides.
func transfers(protocols []string) []string {
	return slices.DeleteFunc(slices.Clone(protocols), func(p string) bool { return p == "" })
}

// observed is what to print of the protocols that were spoken.
func observed(protocols []string) string {
	switch up := transfers(protocols); {
	case len(up) > 0:
		slices.Sort(up)
		return strings.Join(up, "+")
	case len(protocols) > 0:
		return plain
	default:
		return ""
	}
}
