package probe

import (
	"context"
	"strings"
	"testing"

	"kasgen/runtime/balancer/balancertest"
	"kasgen/runtime/edge"
	"kasgen/runtime/host"
)

// edgeFile is an edge in front of the lab's kas, that wants a PROXY header.
const edgeFile = `apiVersion: kasgen/v1
kind: Edge
listeners:
  - name: kas
    address: 127.0.0.1:9443
    proxyProtocol: v2
    tls:
      certificateFile: good.crt
      keyFile: good.key
      minVersion: "1.2"
      alpn: [http/1.1, h2]
    serverNames: [kas.example.com]
    limits: {handshake: 10s, sniff: 10s, header: 10s, maxHeaderBytes: 65536, idle: 1m0s}
    routes:
      grpc: agent
      paths:
        - {prefix: /k8s-proxy, upstream: kubernetes-api, upgrades: [websocket, SPDY/3.1]}
        - {prefix: /, upstream: agent, upgrades: [websocket], upgradeOnly: true}
  - name: cleartext
    address: 127.0.0.1:9080
    proxyProtocol: none
    serverNames: []
    limits: {handshake: 10s, sniff: 10s, header: 10s, maxHeaderBytes: 65536, idle: 1m0s}
    routes:
      grpc: agent
      paths:
        - {prefix: /k8s-proxy, upstream: kubernetes-api, upgrades: [websocket, SPDY/3.1]}
        - {prefix: /, upstream: agent, upgrades: [websocket], upgradeOnly: true}
upstreams:
  - {name: agent, address: "AGENTS", connect: 5s}
  - {name: kubernetes-api, address: "API", connect: 5s}
drain: 1s
`

// startEdge runs kasgen's edge, and returns its addresses: with TLS behind a
// PROXY header, and cleartext.
func startEdge(t testing.TB, l *lab) string {
	t.Helper()
	text := strings.NewReplacer("AGENTS", l.agents, "API", l.api, "good.", l.dir+"/good.").Replace(edgeFile)
	c, err := edge.Load("edge.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	where := balancertest.Serve(t, func(ctx context.Context, h *host.Host) (*edge.Server, error) {
		return c.New(ctx, h, func(string) (edge.Endpoint, bool) { return edge.Endpoint{}, false })
	})
	l.cleartext = where("127.0.0.1:9080")
	return where("127.0.0.1:9443")
}
