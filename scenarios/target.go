package scenarios

import (
	"context"

	"k8s.io/client-go/rest"

	"kasgen/scenarios/demo"
	"kasgen/scenarios/lab"
	"kasgen/scenarios/lab/cluster"
	"kasgen/scenarios/operation"
)

// target is the pod that operations are tried on, and the real cluster that it
// is in, if it is.
func (o demoOptions) target() (operation.Target, *rest.Config, error) {
	t := operation.Target{Namespace: cluster.Namespace, Pod: cluster.Pod, Container: cluster.Container, RemotePort: cluster.ContainerPort}
	if o.cluster == "" {
		return t, nil, nil
	}
	config, err := clusterConfig(o.cluster)
	return t, config, err
}

// try tries everything and tells of progress.
func try(ctx context.Context, l *lab.Lab, t operation.Target, say func(string, ...any)) []demo.Cell {
	n, of := 0, demo.Count(len(l.Agents))
	return demo.Try(ctx, l, t, func(c demo.Cell) {
		n++
		say("%s", demo.Line(c, n, of))
	})
}
