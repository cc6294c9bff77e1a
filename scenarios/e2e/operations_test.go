//go:build e2e

package e2e

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"kasgen/internal/cli"
	"kasgen/scenarios"
	"kasgen/scenarios/demo"
	"kasgen/scenarios/lab"
	"kasgen/scenarios/lab/apiserver"
	"kasgen/scenarios/lab/cluster"
	"kasgen/scenarios/operation"
)

// testOperations tries every operation of the demo through every topology.
func testOperations(t *testing.T, s *apiserver.Server) {
	target := operation.Target{Namespace: cluster.Namespace, Pod: cluster.Pod, Container: cluster.Container, RemotePort: cluster.ContainerPort}
	for _, topology := range topologies() {
		t.Run(topology, func(t *testing.T) {
			l := startLab(t, topology, embedded, lab.Options{Cluster: s.RESTConfig()})
			cells := demo.Try(t.Context(), l, target, func(demo.Cell) {})
			if err := demo.Judge(cells, demo.Promised(l.Carries()), len(l.Agents)); err != nil {
				t.Error(err)
			}
			count := map[demo.Result]int{}
			for _, c := range cells {
				count[c.Result]++
			}
			t.Logf("operations on %s: %d pass, %d refused as promised, %d fail", topology, count[demo.Pass], count[demo.Refused], count[demo.Fail])
		})
	}
}

// testDemo is the demo with the kubeconfig of a real cluster.
func testDemo(t *testing.T, s *apiserver.Server) {
	c := s.RESTConfig()
	config := api.NewConfig()
	config.Clusters["c"] = &api.Cluster{Server: c.Host, CertificateAuthorityData: c.CAData}
	config.AuthInfos["c"] = &api.AuthInfo{ClientCertificateData: c.CertData, ClientKeyData: c.KeyData}
	config.Contexts["c"] = &api.Context{Cluster: "c", AuthInfo: "c"}
	config.CurrentContext = "c"
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	streams := cli.IO{Out: &out, Err: &lockedWriter{w: &errs}}
	code := cli.Run(t.Context(), cli.Root(streams, scenarios.Commands(streams)...), []string{"demo", "--once", "--cluster-kubeconfig", kubeconfig})
	if code != cli.Done || !strings.Contains(out.String(), "32 cells: 32 pass, 0 fail, 0 refused, 0 skip") {
		t.Errorf("exit code %d\n%s%s", code, errs.String(), out.String())
	}
}
