package scenario

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kasgen/generator"
	"kasgen/generator/spec"
	"kasgen/internal/diag"
	kasgenruntime "kasgen/runtime"
	"kasgen/scenarios/demo"
	"kasgen/scenarios/lab"
	"kasgen/scenarios/lab/cluster"
	"kasgen/scenarios/loopback"
	"kasgen/scenarios/operation"
)

// Cell is one kind of traffic in one scenario.
type Cell struct {
	Scenario string  `json:"scenario"`
	Title    string  `json:"title"`
	Traffic  Traffic `json:"traffic"`
	Want     Outcome `json:"want"`
	Got      Outcome `json:"got"`
	Pass     bool    `json:"pass"` // Got is Want
	// Front is what runs the files of the front; of scenarios in which all of it
	// is somebody else's there is none to run.
	Front  kasgenruntime.Programs `json:"front"`
	Models []string               `json:"models"` // of somebody else's balancers that have a part
	Reason string                 `json:"reason"` // why not yes
}

// agentLimit is how long an agent that may not come through is waited for. One
// that does takes some tenths of a second.
const agentLimit = 8 * time.Second

// Options are of a run.
type Options struct {
	Version string
	Log     *slog.Logger
	Front   kasgenruntime.Programs
}

// Result is what came of a scenario.
type Result struct {
	Cells  []Cell
	Checks []Checked
}

// Run renders, runs and tries a scenario. Everything is gone when it returns.
// Where the real nginx and HAProxy run, they do so on free ports of loopback.
func Run(ctx context.Context, s Scenario, o Options) (_ Result, err error) {
	dir, err := os.MkdirTemp("", "kasgen-scenario-")
	if err != nil {
		return Result{}, err
	}
	defer func() {
		if fault := os.RemoveAll(dir); err == nil {
			err = fault
		}
	}()
	native := o.Front == kasgenruntime.Native
	var overrides []spec.Override
	if native {
		overrides = loopback.Below(dir)
	}
	read, findings := spec.Read(s.Name+".txtar:kasgen.yaml", s.Spec, overrides)
	if read == nil {
		return s.impossible(findings, o.Front), nil
	}
	if native {
		var ports loopback.Ports
		defer func() { err = errors.Join(err, ports.Close()) }()
		if err := ports.Move(read); err != nil {
			return Result{}, err
		}
	}
	b, err := generator.Render(read)
	if err != nil {
		return Result{}, err
	}
	p, err := s.write(b, read, filepath.Join(dir, "bundle"))
	if err != nil {
		return Result{}, err
	}
	r := Result{Checks: []Checked{}}
	err = s.start(ctx, p, o, func(l *lab.Lab) {
		r.Cells = s.try(ctx, l, o.Front)
		for _, c := range s.Checks {
			if c.Shortened == "" {
				r.Checks = append(r.Checks, s.check(ctx, l, c, o.Front))
			}
		}
	})
	for _, c := range s.Checks {
		if err != nil || c.Shortened == "" {
			continue
		}
		var restore func() error
		if restore, err = p.shorten(c.Shortened); err != nil {
			return Result{}, err
		}
		err = errors.Join(s.start(ctx, p, o, func(l *lab.Lab) { r.Checks = append(r.Checks, s.check(ctx, l, c, o.Front)) }), restore())
	}
	return r, err
}

// start runs what lies in p for as long as work takes.
func (s Scenario) start(ctx context.Context, p place, o Options, work func(*lab.Lab)) error {
	l, err := lab.Start(ctx, lab.Options{Bundle: string(p), Version: o.Version, Log: o.Log, Native: o.Front == kasgenruntime.Native, Tell: func(string, string) {},
		TryAll: true, Limit: agentLimit, Model: s.Model(), GRPCModel: s.GRPCModel(), Direct: s.Direct, OlderCluster: s.OlderCluster})
	if err != nil {
		return fmt.Errorf("scenario %s: %w", s.Name, err)
	}
	work(l)
	return l.Close()
}

// impossible is what comes of a spec that is refused: what is expected, if it
// is for the reason that the file names.
func (s Scenario) impossible(findings diag.Findings, front kasgenruntime.Programs) Result {
	var why []string
	known := false
	for _, f := range findings {
		if f.Severity == diag.Error {
			why = append(why, f.What+": "+f.Why)
			known = known || f.Code == s.Code
		}
	}
	cells := s.cells(front)
	for i := range cells {
		cells[i].Got, cells[i].Reason = Impossible, strings.Join(why, "; ")
		cells[i].Pass = cells[i].Want == Impossible && known
	}
	r := Result{Cells: cells, Checks: []Checked{}}
	for _, c := range s.Checks {
		r.Checks = append(r.Checks, s.checked(c, front))
	}
	return r
}

func (s Scenario) cells(front kasgenruntime.Programs) []Cell {
	var cells []Cell
	for _, t := range All() {
		cells = append(cells, Cell{Scenario: s.Name, Title: s.Title, Front: front, Traffic: t, Want: s.Expect.Of(t), Got: No, Models: append([]string{}, s.Models()...)})
	}
	return cells
}

// try sees what comes of each kind of traffic. kubectl's kinds are tried
// through the first agent that there is.
func (s Scenario) try(ctx context.Context, l *lab.Lab, front kasgenruntime.Programs) []Cell {
	cells := s.cells(front)
	for i := range cells {
		c := &cells[i]
		switch c.Traffic {
		case WSS, GRPCS:
			c.Got, c.Reason = Yes, ""
			if why, absent := l.Absent[strings.Fields(string(c.Traffic))[0]]; absent {
				c.Got, c.Reason = No, why
			}
		case Proxy:
			c.kubectl(ctx, l, "get", operation.Plain)
		case SPDY:
			c.kubectl(ctx, l, "exec", operation.SPDY)
		case WebSocket:
			// As kubectl does it: where the upgrade is refused, it asks again by SPDY.
			if c.kubectl(ctx, l, "exec", operation.WebSocket) && c.Got == No {
				why := c.Reason
				c.kubectl(ctx, l, "exec", operation.SPDY)
				c.Reason = why + "; upon which kubectl falls back to SPDY: " + c.Reason
			}
		}
		c.Reason = strings.Join(strings.Fields(c.Reason), " ")
		c.Pass = c.Got == c.Want
	}
	return cells
}

// kubectl runs an operation, and says whether an upgrade was refused.
func (c *Cell) kubectl(ctx context.Context, l *lab.Lab, name string, tr operation.Transport) (noUpgrade bool) {
	if len(l.Agents) == 0 {
		c.Reason = "no agent is connected"
		return false
	}
	target := operation.Target{Namespace: cluster.Namespace, Pod: cluster.Pod, Container: cluster.Container, RemotePort: cluster.ContainerPort}
	cell := demo.One(ctx, l, target, l.Agents[0], name, tr)
	c.Reason = cell.Reason
	switch cell.Result {
	case demo.Pass:
		c.Got = Yes
	case demo.Refused:
		c.Got = Refused
	case demo.Fail, demo.Skip:
		c.Got = No
	}
	return cell.NoUpgrade
}
