package rollout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kasgen/generator"
	"kasgen/generator/spec"
	"kasgen/scenarios/demo"
	"kasgen/scenarios/lab"
	"kasgen/scenarios/lab/cluster"
	"kasgen/scenarios/loopback"
	"kasgen/scenarios/operation"
)

// Result is what was seen after a step.
type Result struct {
	Rollout  string `json:"rollout"`
	Title    string `json:"title"`
	Step     string `json:"step"`
	Tried    int    `json:"tried"`    // operations, through each agent
	Passed   int    `json:"passed"`   // of those
	Sessions int    `json:"sessions"` // that were open since the beginning, or since their agent came back
	Alive    int    `json:"alive"`    // of those
	Dialed   int64  `json:"dialed"`   // connections that agents made anew
	Pass     bool   `json:"pass"`
	Reason   string `json:"reason"`
}

// Options are of a run.
type Options struct {
	Version string
	Log     *slog.Logger
	Native  bool         // the real nginx and HAProxy
	Tell    func(Result) // after each step
}

// run is one rollout under way.
type run struct {
	Rollout
	o        Options
	ports    loopback.Ports // where the real programs run
	lab      *lab.Lab
	labs     lab.Options
	dirs     map[string]string
	beside   map[string]*lab.Beside
	sessions map[int64]*operation.Session // by agent
	dials    map[int64]int64
}

// Run goes through all steps. The error is for what could not be tried; a step
// that somebody noticed is a Result that is no pass.
func Run(ctx context.Context, r Rollout, o Options) (results []Result, err error) {
	dir, err := os.MkdirTemp("", "kasgen-rollout-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	x := &run{Rollout: r, o: o, dirs: map[string]string{}, beside: map[string]*lab.Beside{}, sessions: map[int64]*operation.Session{}, dials: map[int64]int64{}}
	defer func() { err = errors.Join(err, x.ports.Close()) }()
	if err := x.render(dir); err != nil {
		return nil, err
	}
	x.labs = lab.Options{Bundle: x.dirs[r.Start], Version: o.Version, Log: o.Log, Tell: func(string, string) {}, Agents: r.Agents, Native: o.Native}
	if x.lab, err = lab.Start(ctx, x.labs); err != nil {
		return nil, fmt.Errorf("rollout %s: %w", r.Name, err)
	}
	defer func() { err = errors.Join(err, x.close()) }()
	for _, a := range x.lab.Agents {
		if err := x.open(ctx, a); err != nil {
			return nil, fmt.Errorf("rollout %s: %w", r.Name, err)
		}
	}
	results = append(results, x.look(ctx, "start "+r.Start, false))
	for _, s := range r.Steps {
		if err := x.step(ctx, s); err != nil {
			return results, fmt.Errorf("rollout %s: %s: %w", r.Name, s, err)
		}
		results = append(results, x.look(ctx, s.String(), s.Reconnects))
	}
	return results, nil
}

// render writes the bundles. Where the real programs run, that is on free ports
// of loopback: of each bundle its own, but for kas, which is one, and for what
// takes the place of what runs.
func (x *run) render(dir string) error {
	var overrides []spec.Override
	if x.o.Native {
		overrides = loopback.Below(dir)
	}
	names := slices.Sorted(maps.Keys(x.Specs))
	specs := map[string]*spec.Spec{}
	for _, name := range names {
		s, findings := spec.Read(x.Name+".txtar:"+name+".yaml", x.Specs[name], overrides)
		if s == nil {
			return findings.Err()
		}
		if x.o.Native {
			if err := x.ports.Move(s); err != nil {
				return err
			}
		}
		specs[name] = s
	}
	for _, name := range names {
		first := specs[x.Start]
		specs[name].KAS.Listen = first.KAS.Listen
		if x.o.Native && slices.ContainsFunc(x.Steps, func(s Step) bool { return s.Do == Reload && s.Bundle == name }) {
			specs[name].LoadBalancer.Listen, specs[name].GRPCBalancer.Listen = first.LoadBalancer.Listen, first.GRPCBalancer.Listen
			specs[name].HTTP.Listen, specs[name].Edge.Listen = first.HTTP.Listen, first.Edge.Listen
		}
		b, err := generator.Render(specs[name])
		if err != nil {
			return err
		}
		x.dirs[name] = filepath.Join(dir, name)
		if _, err := b.Write(x.dirs[name], false); err != nil {
			return err
		}
	}
	return nil
}

func (x *run) step(ctx context.Context, s Step) error {
	switch s.Do {
	case BesideIt:
		b, err := x.lab.Beside(ctx, x.dirs[s.Bundle], x.o.Version)
		if err == nil {
			x.beside[s.Bundle] = b
		}
		return err
	case Switch:
		return x.lab.Switch(x.beside[s.Bundle])
	case End:
		b := x.beside[s.Bundle]
		if b == nil {
			return fmt.Errorf("%s does not run beside anything", s.Bundle)
		}
		delete(x.beside, s.Bundle)
		return b.Close()
	case Reload:
		return x.lab.Reload(ctx, x.dirs[s.Bundle])
	case Restart:
		a := x.lab.Agents[s.Agent-1]
		// Its own session goes with the pod; everybody else's stay.
		err := x.sessions[a.ID].Close()
		a.Way = s.By
		if err == nil {
			err = x.lab.Restart(ctx, a, x.labs)
		}
		if err != nil {
			return err
		}
		return x.open(ctx, x.lab.Agents[s.Agent-1])
	}
	return fmt.Errorf("%q is no step", s.Do)
}

func (x *run) target() operation.Target {
	return operation.Target{Namespace: cluster.Namespace, Pod: cluster.Pod, Container: cluster.Container, RemotePort: cluster.ContainerPort}
}

// open opens a session through an agent, and counts its connections from now.
func (x *run) open(ctx context.Context, a lab.Agent) error {
	t := x.target()
	t.Config = x.lab.RESTConfig(a, "kasgen-rollout/"+a.Name)
	s, err := operation.Open(ctx, t, operation.WebSocket)
	if err != nil {
		return fmt.Errorf("a session through the agent %s: %w", a.Name, err)
	}
	x.sessions[a.ID], x.dials[a.ID] = s, x.lab.Dials(a)
	return nil
}

// look tries what people do through every agent and asks every session.
func (x *run) look(ctx context.Context, step string, reconnects bool) Result {
	r := Result{Rollout: x.Name, Title: x.Title, Step: step}
	var why []string
	for _, a := range x.lab.Agents {
		for _, op := range []struct {
			name string
			over operation.Transport
		}{{"get", operation.Plain}, {"exec", operation.SPDY}, {"exec", operation.WebSocket}} {
			r.Tried++
			if c := demo.One(ctx, x.lab, x.target(), a, op.name, op.over); c.Result == demo.Pass {
				r.Passed++
			} else {
				why = append(why, fmt.Sprintf("%s through %s over %s: %s", op.name, a.Name, c.Transport, c.Reason))
			}
		}
		r.Sessions++
		if err := x.sessions[a.ID].Say("after " + step); err == nil {
			r.Alive++
		} else {
			why = append(why, fmt.Sprintf("the session through %s: %v", a.Name, err))
		}
		if n := x.lab.Dials(a) - x.dials[a.ID]; n != 0 {
			r.Dialed += n
			if !reconnects {
				why = append(why, fmt.Sprintf("the agent %s connected anew %d times", a.Name, n))
			}
		}
		x.dials[a.ID] = x.lab.Dials(a)
	}
	r.Reason = strings.Join(strings.Fields(strings.Join(why, "; ")), " ")
	r.Pass = len(why) == 0
	if x.o.Tell != nil {
		x.o.Tell(r)
	}
	return r
}

func (x *run) close() error {
	var err error
	for _, id := range slices.Sorted(maps.Keys(x.sessions)) {
		if fault := x.sessions[id].Close(); fault != nil {
			err = errors.Join(err, fmt.Errorf("a session's end: %w", fault))
		}
	}
	for _, b := range x.beside {
		err = errors.Join(err, b.Close())
	}
	return errors.Join(err, x.lab.Close())
}
