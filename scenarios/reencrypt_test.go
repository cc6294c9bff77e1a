package scenarios

import (
	"testing"

	"kasgen/scenarios/demo"
	"kasgen/scenarios/lab"
	"kasgen/scenarios/lab/cluster"
	"kasgen/scenarios/operation"
)

// TestReencrypt has somebody else's TCP balancer end TLS with a certificate of
// its own and speak TLS again to the edge, which has one of the development CA:
// the balancer looks at none, as an AWS NLB does not, and everything passes.
func TestReencrypt(t *testing.T) {
	t.Parallel()
	l := startWith(t, lab.Options{Bundle: renderedAs(t, "A", "loadBalancer: {kind: external-tcp, tls: reencrypt, proxyProtocol: v2}\n")})
	target := operation.Target{Namespace: cluster.Namespace, Pod: cluster.Pod, Container: cluster.Container, RemotePort: cluster.ContainerPort}
	cells := demo.Try(t.Context(), l, target, func(demo.Cell) {})
	if err := demo.Judge(cells, demo.Promised(l.Carries()), len(l.Agents)); err != nil {
		t.Error(err)
	}
}
