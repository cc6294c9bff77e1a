package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	kasgenruntime "kasgen/runtime"
	"kasgen/runtime/state"
)

// Beside is another bundle's balancer and edge, before the kas that runs.
type Beside struct {
	names names
	drain context.CancelFunc
	roles errgroup.Group
}

// Beside runs what stands before kas in another bundle, next to what runs
// already: on addresses of its own, as on one machine. Nobody's name leads
// there until Switch.
func (l *Lab) Beside(ctx context.Context, dir, version string) (_ *Beside, err error) {
	b, err := kasgenruntime.Read(dir, kasgenruntime.All)
	if err != nil {
		return nil, err
	}
	roles := []kasgenruntime.Role{kasgenruntime.Front}
	if b.Edge() != nil {
		roles = append([]kasgenruntime.Role{kasgenruntime.Edge}, roles...)
	}
	if _, err := state.Ensure(b.Development(l.redirect.File(b.Lock.StateDir))); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &Beside{drain: cancel}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	for _, role := range roles {
		if err := l.runBeside(ctx, s, dir, version, role); err != nil {
			return nil, err
		}
	}
	s.names, err = findNames(b)
	return s, err
}

func (l *Lab) runBeside(ctx context.Context, s *Beside, dir, version string, role kasgenruntime.Role) error {
	part, err := kasgenruntime.Read(dir, role)
	if err == nil {
		err = part.Complete(ctx)
	}
	if err != nil {
		return err
	}
	for _, bind := range part.Binds() {
		if slices.Contains(l.bundle.Binds(), bind) {
			return fmt.Errorf("%s and what runs both listen on %s: side by side each needs an address of its own", dir, bind)
		}
	}
	if l.scratch != "" {
		part.UseNative(l.scratch + "-beside")
	}
	h := *l.host
	h.Metrics = prometheus.NewRegistry()
	running, err := part.Start(ctx, &h, &h, version)
	if err != nil {
		return err
	}
	s.roles.Go(func() error { return running.Serve(ctx) })
	return nil
}

// Close drains it.
func (s *Beside) Close() error {
	s.drain()
	return s.roles.Wait()
}

// Switch lets new connections to kas's names go to s, as a change in DNS does;
// nil lets them go where they went at first.
func (l *Lab) Switch(s *Beside) error {
	to := l.names
	if s != nil {
		to = s.names
	}
	for _, own := range l.names {
		n := own
		for _, t := range own.takes {
			n = to.of(t)
		}
		if len(n.Listeners) == 0 {
			return fmt.Errorf("%s has no name for what %s takes", l.Topology(), own.Name)
		}
		at, err := l.listener(n.Listeners[0])
		if err != nil {
			return err
		}
		l.redirect.Name(own.hostport(), at)
		if own.serves(kubernetesAPI) {
			l.server = at
		}
	}
	return nil
}

// Restart starts an agent anew, by the way that a now has: the new pod is
// connected before the old one goes, as in a rolling update.
func (l *Lab) Restart(ctx context.Context, a Agent, o Options) error {
	i := slices.IndexFunc(l.Agents, func(x Agent) bool { return x.ID == a.ID })
	if i < 0 {
		return fmt.Errorf("the lab has no agent %s", a.Name)
	}
	p, err := l.startPod(context.WithoutCancel(ctx), l.Agents[i].by(a.Way), o, slog.New(ending{o.Log.Handler(), &l.ended}))
	if err != nil {
		return err
	}
	if _, err := p.wait(ctx, a, o); err != nil {
		p.stop()
		return err
	}
	old := l.pods[a.ID]
	l.pods[a.ID], l.Agents[i].Way = p, a.Way
	old.stop()
	<-old.done
	return nil
}

func (a Agent) by(w Way) Agent {
	a.Way = w
	return a
}

// Dials is how often an agent's pod has connected to kas.
func (l *Lab) Dials(a Agent) int64 { return l.pods[a.ID].dials.Load() }
