//go:build e2e

package e2e

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"
	"k8s.io/klog/v2"

	"kasgen/scenarios/lab/apiserver"
	"kasgen/scenarios/lab/apiserver/apiservertest"
)

func TestMain(m *testing.M) {
	// Kubernetes' client library calls every stream that is cut an error.
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	goleak.VerifyTestMain(m,
		// A closed SPDY connection waits a second for somebody to take the
		// error of closing it twice; client-go does not.
		goleak.IgnoreTopFunction("github.com/moby/spdystream.(*Connection).shutdown"),
		// client-go's pings over WebSocket find out at the next one, at most
		// 5 seconds later, that the connection is gone.
		goleak.IgnoreTopFunction("k8s.io/client-go/tools/remotecommand.(*heartbeat).start"),
		// The node's code waits five seconds for the second of two streams.
		goleak.IgnoreAnyFunction("k8s.io/cri-streaming/pkg/streaming/portforward.(*httpStreamHandler).monitorStreamPair"),
		// Pebble has no end.
		goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"),
	)
}

// TestKubernetes is everything that one API server is enough for: it takes
// seconds to start, and a node of its own serves the streams.
func TestKubernetes(t *testing.T) {
	s := apiservertest.Start(t)
	permit(t, s)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *apiserver.Server)
	}{{"operations", testOperations}, {"demo", testDemo}, {"through", testThrough}, {"chart", testChart}} {
		t.Run(part.name, func(t *testing.T) { part.run(t, s) })
	}
}
