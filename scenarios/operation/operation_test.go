package operation_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kasgen/scenarios/lab/cluster"
	"kasgen/scenarios/operation"
)

func newLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// seen collects what the API server observed, by User-Agent.
type seen struct {
	mu  sync.Mutex
	all map[string][]cluster.Observed
}

func (s *seen) add(o cluster.Observed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[o.UserAgent] = append(s.all[o.UserAgent], o)
}

func (s *seen) of(agent string) []cluster.Observed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all[agent])
}

func start(t *testing.T) (*cluster.Cluster, *seen) {
	t.Helper()
	s := &seen{all: map[string][]cluster.Observed{}}
	c, err := cluster.Start(t.Context(), cluster.Options{Log: newLog(t), Dir: t.TempDir(), OnRequest: s.add})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("closing the cluster: %v", err)
		}
	})
	return c, s
}

func target(c *cluster.Cluster, agent string) operation.Target {
	config := c.RESTConfig()
	config.UserAgent = agent
	return operation.Target{Config: config, Namespace: cluster.Namespace, Pod: cluster.Pod,
		Container: cluster.Container, RemotePort: cluster.ContainerPort}
}

func transports(o operation.Operation) []operation.Transport {
	if o.Upgrades {
		return []operation.Transport{operation.SPDY, operation.WebSocket}
	}
	return []operation.Transport{operation.Plain}
}

func TestOperations(t *testing.T) {
	t.Parallel()
	c, s := start(t)
	t.Run("all", func(t *testing.T) {
		for _, o := range operation.All() {
			for _, tr := range transports(o) {
				t.Run(strings.TrimSpace(fmt.Sprintf("%s %s", o.Name, tr)), func(t *testing.T) {
					t.Parallel()
					agent := o.Name + "/" + string(tr)
					ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
					defer cancel()
					begin := time.Now()
					if err := o.Run(ctx, target(c, agent), tr); err != nil {
						t.Fatal(err)
					}
					t.Logf("took %s", time.Since(begin).Round(time.Millisecond))
					checkProtocol(t, s.of(agent), tr)
				})
			}
		}
	})
	awaitQuiet(t, c)
}

// checkProtocol sees that every upgrade of an operation was of its transport.
func checkProtocol(t *testing.T, all []cluster.Observed, tr operation.Transport) {
	t.Helper()
	want := map[operation.Transport]string{operation.SPDY: "SPDY/3.1", operation.WebSocket: "websocket"}[tr]
	upgrades := 0
	for _, o := range all {
		if o.Protocol != "" {
			upgrades++
		}
		if o.Protocol != "" && o.Protocol != want {
			t.Errorf("%s %s was switched to %q, want %q", o.Method, o.Path, o.Protocol, want)
		}
	}
	if (upgrades > 0) != (want != "") {
		t.Errorf("%d upgrades among %v", upgrades, all)
	}
}

func awaitQuiet(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	// The node waits five seconds for the streams of a client that has left
	// before it made them, and does not notice it before.
	deadline := time.Now().Add(10 * time.Second)
	for c.Connections() > 0 || c.Processes() > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d upgraded connections and %d processes are left", c.Connections(), c.Processes())
		}
		time.Sleep(5 * time.Millisecond)
	}
}
