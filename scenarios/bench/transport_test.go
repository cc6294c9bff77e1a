package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"

	"kasgen/runtime/edge"
	"kasgen/runtime/host"
	"kasgen/runtime/state"
)

// startWhole runs an edge and kas behind it in one process, as they are run;
// its addresses are kas's two and the edge's.
func startWhole() ([]string, error) {
	k, err := newKas()
	if err != nil {
		return nil, err
	}
	c, err := edge.Load("edge.yaml", fmt.Appendf(nil, `
apiVersion: kasgen/v1
kind: Edge
drain: 1s
listeners:
- name: kas
  address: 127.0.0.1:9443
  proxyProtocol: none
  tls: {certificateFile: %[1]s.crt, keyFile: %[1]s.key, minVersion: "1.2", alpn: [http/1.1, h2]}
  serverNames: [kas.example.com]
  limits: {handshake: 10s, sniff: 10s, header: 10s, maxHeaderBytes: 65536, idle: 60s}
  routes:
    grpc: agents
    paths:
    - {prefix: /k8s-proxy/, upstream: api, upgrades: [websocket, SPDY/3.1]}
    - {prefix: /, upstream: agents, upgrades: [websocket]}
upstreams:
- {name: agents, address: %[2]q, connect: 5s}
- {name: api, address: %[3]q, connect: 5s}
`, os.Getenv(pairKey), kasAgents, kasAPI))
	if err != nil {
		return nil, err
	}
	h := host.Machine(slog.New(slog.DiscardHandler))
	h.Listen = func(context.Context, string, string) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }
	local := k.Endpoints()
	e, err := c.New(context.Background(), h, func(address string) (edge.Endpoint, bool) {
		found, ok := local[address]
		return edge.Endpoint{HTTP: found.HTTP, GRPC: found.GRPC}, ok
	})
	if err != nil {
		return nil, err
	}
	go k.Serve(context.Background())
	go e.Serve(context.Background())
	return append(kasAddrs(k), e.Addrs()["127.0.0.1:9443"].String()), nil
}

// whole is such a process, with the ways to it.
func whole(b *testing.B, gitlab string) (c *child, ways map[string]way) {
	pair := filepath.Join(b.TempDir(), "kas")
	if _, err := state.Ensure([]state.Item{{Path: pair + "-ca.crt", Kind: state.CA}, {Path: pair + ".crt", Kind: state.Certificate, Names: []string{"kas.example.com"}}}); err != nil {
		b.Fatal(err)
	}
	c = spawn(b, "whole", gitlabKey+"="+gitlab, pairKey+"="+pair)
	return c, map[string]way{
		"grpc":  {url: "grpc://" + c.addrs[0]},
		"ws":    {url: "ws://" + c.addrs[0] + "/"},
		"grpcs": {"grpcs://kas.example.com", c.addrs[2], pair + "-ca.crt"},
		"wss":   {"wss://kas.example.com/", c.addrs[2], pair + "-ca.crt"},
	}
}

// BenchmarkTransport is what an upgraded stream costs by how the agent and the
// client reach kas: cleartext at kas itself, or TLS at the edge, whose part is
// counted then.
func BenchmarkTransport(b *testing.B) {
	gitlab, cluster := newGitLab(b), newCluster(b)
	payload := make([]byte, 1<<20)
	rand.Read(payload)
	for _, name := range []string{"grpc", "ws", "grpcs", "wss"} {
		c, ways := whole(b, gitlab)
		connectAgentBy(b, ways[name], cluster, 1)
		for _, client := range []struct{ name, api string }{{"cleartext", c.addrs[1]}, {"TLS", "https://" + c.addrs[2]}} {
			for _, direction := range []string{"up", "down"} {
				b.Run(fmt.Sprintf("agent-%s/client-%s/%s", name, client.name, direction), func(b *testing.B) {
					var got []flow
					for range max(b.N, 3) {
						got = append(got, transfer(b, c, client.api, direction, payload))
					}
					m := best(got)
					b.ReportMetric(0, "ns/op")
					metric(b, bulk/m.seconds/1e6, "MB/s")
					metric(b, m.cpu/(float64(bulk)/1e9), "cpu-s/GB")
					metric(b, m.alloc/bulk, "alloc-B/B")
				})
			}
		}
	}
}

// BenchmarkIdleTransport is what an idle agent costs by how it reaches kas.
func BenchmarkIdleTransport(b *testing.B) {
	const n = 1000
	for _, name := range []string{"grpc", "ws", "grpcs", "wss"} {
		b.Run(name, func(b *testing.B) {
			gitlab, cluster := newGitLab(b), newCluster(b)
			c, ways := whole(b, gitlab)
			before := c.ask("memory")
			spawnAgents(b, ways[name], cluster, n)
			b.ReportMetric(0, "ns/op")
			metric(b, (c.ask("memory").RSS-before.RSS)/n, "KiB/each")
		})
	}
}
