//go:build e2e

package scenarios

import (
	"bytes"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"kasgen/internal/cli"
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

// TestKubernetesDemo is the demo with the kubeconfig of a real cluster.
func TestKubernetesDemo(t *testing.T) {
	c := kubernetesServer(t).RESTConfig()
	config := api.NewConfig()
	config.Clusters["c"] = &api.Cluster{Server: c.Host, CertificateAuthorityData: c.CAData}
	config.AuthInfos["c"] = &api.AuthInfo{ClientCertificateData: c.CertData, ClientKeyData: c.KeyData}
	config.Contexts["c"] = &api.Context{Cluster: "c", AuthInfo: "c"}
	config.CurrentContext = "c"
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	errs := new(log)
	streams := cli.IO{Out: &out, Err: errs}
	code := cli.Run(t.Context(), cli.Root(streams, Commands(streams)...), []string{"demo", "--once", "--cluster-kubeconfig", kubeconfig})
	if code != cli.Done || !strings.Contains(out.String(), "32 cells: 32 pass, 0 fail, 0 refused, 0 skip") {
		t.Errorf("exit code %d\n%s%s", code, errs.String(), out.String())
	}
}
