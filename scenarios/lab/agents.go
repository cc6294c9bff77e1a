package lab

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"kasgen/scenarios/lab/agent"
)

// startAgents connects one agent by each way and waits for them.
func (l *Lab) startAgents(ctx context.Context, o Options) error {
	for _, a := range l.Agents {
		last := &lastWords{Handler: ending{o.Log.Handler(), &l.ended}}
		ready, err := l.startAgent(ctx, a, o, slog.New(last))
		if err != nil {
			return err
		}
		wait := cmp.Or(o.Limit, time.Minute)
		limit := time.NewTimer(wait)
		select {
		case <-ready:
			limit.Stop()
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			if !o.TryAll {
				return fmt.Errorf("the %s agent has not connected within %s", a.Name, wait)
			}
			l.Absent[a.Name] = last.said()
		}
	}
	l.Agents = slices.DeleteFunc(l.Agents, func(a Agent) bool { _, absent := l.Absent[a.Name]; return absent })
	return nil
}

// startAgent starts an agent; what it returns is closed once it has connected.
func (l *Lab) startAgent(ctx context.Context, a Agent, o Options, log *slog.Logger) (<-chan struct{}, error) {
	config := o.Cluster
	if l.cluster != nil {
		config = l.cluster.RESTConfig()
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(l.trusted)
	url := "grpcs://" + l.names.of(traffic(a.Name)).hostport()
	if a.Name == string(wss) {
		url = "wss://" + l.names.of(traffic(a.Name)).hostport() + "/"
	}
	options := agent.Options{KasURL: url, Token: a.token, RootCAs: roots, Cluster: config, Log: log,
		Dial: l.dial, Version: "v18.5.0", PodName: a.Name + "-agent", PodNamespace: "gitlab-agent"}
	if o.Cluster != nil {
		// A real API server tells nobody; what it answered to the agent does.
		options.OnRequest = func(r agent.Request) { l.seen.note(r.UserAgent, r.UpgradeAnswered) }
	}
	ag, err := agent.New(options)
	if err != nil {
		return nil, err
	}
	l.work.Go(func() error { return ignoreCanceled(ag.Run(ctx)) })
	return ag.Ready(), nil
}
