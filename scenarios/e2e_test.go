//go:build e2e

package scenarios

import (
	"log/slog"
	"os/exec"
	"testing"

	"kasgen/scenarios/demo"
	"kasgen/scenarios/lab"
	"kasgen/scenarios/lab/apiserver"
	"kasgen/scenarios/lab/cluster"
	"kasgen/scenarios/lab/kubernetes"
	"kasgen/scenarios/operation"
)

// kubernetesServer is a real API server until the test ends.
func kubernetesServer(t *testing.T) *apiserver.Server {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	program, err := kubernetes.GetServer(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	etcd, err := exec.LookPath("etcd")
	if err != nil {
		t.Fatalf("%v: install the Debian package etcd-server", err)
	}
	s, err := apiserver.Start(t.Context(), apiserver.Options{Server: program.Path, Etcd: etcd, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestKubernetes tries every operation through every topology on a real API
// server.
func TestKubernetes(t *testing.T) {
	s := kubernetesServer(t)
	target := operation.Target{Namespace: cluster.Namespace, Pod: cluster.Pod, Container: cluster.Container, RemotePort: cluster.ContainerPort}
	for _, topology := range []string{"A", "B", "D", "packaged"} {
		t.Run(topology, func(t *testing.T) {
			l, err := lab.Start(t.Context(), lab.Options{Bundle: renderedAs(t, topology, ""), Version: "test", Cluster: s.RESTConfig(),
				Log: slog.New(slog.DiscardHandler), Tell: func(string, string) {}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			})
			n, of := 0, demo.Count(len(l.Agents))
			cells := demo.Try(t.Context(), l, target, func(c demo.Cell) { n++; t.Log(demo.Line(c, n, of)) })
			if err := demo.Judge(cells, demo.Promised(l.Carries()), len(l.Agents)); err != nil {
				t.Error(err)
			}
		})
	}
}
