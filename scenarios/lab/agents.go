package lab

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"kasgen/internal/lockfile"
	"kasgen/scenarios/lab/agent"
)

// agents are those that are to be started.
func (l *Lab) agents(o Options) []Agent {
	ways := o.Agents
	if ways == nil {
		if o.TryAll || l.Carries().Agents.WSS == lockfile.Yes {
			ways = append(ways, WSS)
		}
		if o.TryAll || l.Carries().Agents.GRPCS == lockfile.Yes {
			ways = append(ways, GRPCS)
		}
	}
	var all []Agent
	of := map[Way]int{}
	for i, w := range ways {
		of[w]++
		a := Agent{Name: string(w), Way: w, ID: int64(i + 1), token: token()}
		if of[w] > 1 {
			a.Name = fmt.Sprintf("%s-%d", w, of[w])
		}
		all = append(all, a)
	}
	return all
}

// startAgents connects the agents and waits for them.
func (l *Lab) startAgents(ctx context.Context, o Options) error {
	for _, a := range l.Agents {
		last := &lastWords{Handler: ending{o.Log.Handler(), &l.ended}}
		p, err := l.startPod(ctx, a, o, slog.New(last))
		if err != nil {
			return err
		}
		l.pods[a.ID] = p
		if connected, err := p.wait(ctx, a, o); err != nil && !o.TryAll {
			return err
		} else if !connected {
			l.Absent[a.Name] = last.said()
		}
	}
	l.Agents = slices.DeleteFunc(l.Agents, func(a Agent) bool { _, absent := l.Absent[a.Name]; return absent })
	return nil
}

// pod is a running agent.
type pod struct {
	ready <-chan struct{}
	dials atomic.Int64 // connections to kas so far
	stop  context.CancelFunc
	done  chan struct{}
}

// wait waits until the pod is connected. Without an error it is, or may yet be.
func (p *pod) wait(ctx context.Context, a Agent, o Options) (connected bool, err error) {
	within := cmp.Or(o.Limit, time.Minute)
	limit := time.NewTimer(within)
	defer limit.Stop()
	select {
	case <-p.ready:
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	case <-limit.C:
		return false, fmt.Errorf("the %s agent has not connected within %s", a.Name, within)
	}
}

// startPod starts an agent.
func (l *Lab) startPod(ctx context.Context, a Agent, o Options, log *slog.Logger) (*pod, error) {
	config := o.Cluster
	if l.cluster != nil {
		config = l.cluster.RESTConfig()
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(l.trusted)
	url := "grpcs://" + l.names.of(grpcs).hostport()
	if a.Way == WSS {
		url = "wss://" + l.names.of(wss).hostport() + "/"
	}
	p := &pod{done: make(chan struct{})}
	options := agent.Options{KasURL: url, Token: a.token, RootCAs: roots, Cluster: config, Log: log, Version: "v18.5.0",
		PodName: a.Name + "-agent", PodNamespace: "gitlab-agent",
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			p.dials.Add(1)
			return l.dial(ctx, network, address)
		}}
	if o.Cluster != nil {
		// A real API server tells nobody; what it answered to the agent does.
		options.OnRequest = func(r agent.Request) { l.seen.note(r.UserAgent, r.UpgradeAnswered) }
	}
	ag, err := agent.New(options)
	if err != nil {
		return nil, err
	}
	p.ready = ag.Ready()
	ctx, p.stop = context.WithCancel(ctx)
	l.work.Go(func() error {
		defer close(p.done)
		return ignoreCanceled(ag.Run(ctx))
	})
	return p, nil
}
