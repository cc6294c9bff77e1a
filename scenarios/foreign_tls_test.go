package scenarios

import (
	"testing"

	"kasgen/scenarios/demo"
	"kasgen/scenarios/lab"
	"kasgen/scenarios/lab/cluster"
	"kasgen/scenarios/operation"
)

// TestForeignTLS has somebody else's TCP balancer end TLS with a certificate of
// its own, and everything passes: in clear to an edge that has none, and by TLS
// to one that has one of the development CA, at which the balancer does not
// look, as an AWS NLB does not.
func TestForeignTLS(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"cleartext": "tls: {source: balancer}\nloadBalancer: {kind: external-tcp, tls: terminate, proxyProtocol: v2}\n",
		"reencrypt": "tls: {source: developmentCA}\nloadBalancer: {kind: external-tcp, tls: reencrypt, proxyProtocol: v2}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := startWith(t, lab.Options{Bundle: bundleOf(t, "topology: A\n"+text)})
			target := operation.Target{Namespace: cluster.Namespace, Pod: cluster.Pod, Container: cluster.Container, RemotePort: cluster.ContainerPort}
			cells := demo.Try(t.Context(), l, target, func(demo.Cell) {})
			if err := demo.Judge(cells, demo.Promised(l.Carries()), len(l.Agents)); err != nil {
				t.Error(err)
			}
		})
	}
}
