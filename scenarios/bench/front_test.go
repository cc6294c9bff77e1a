package bench

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"kasgen/runtime/edge"
	"kasgen/runtime/host"
	"kasgen/runtime/kas/agents"
	"kasgen/runtime/sniff"
	"kasgen/runtime/state"
)

// hello is the handler behind every front.
var hello = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })

// pairKey says where the certificate and key of the children lie, upstreamKey
// where the edge finds its upstream, if that is not in its own process.
const (
	pairKey     = "KASGEN_BENCH_PAIR"
	upstreamKey = "KASGEN_BENCH_UPSTREAM"
)

// startEdge is an edge with an HTTP handler and a gRPC server in its process.
func startEdge() ([]string, error) {
	config := fmt.Sprintf(`
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
  routes: {grpc: kas, paths: [{prefix: /, upstream: kas, upgrades: [websocket]}]}
upstreams:
- {name: kas, address: "%[2]s", connect: 5s}
`, os.Getenv(pairKey), cmp.Or(os.Getenv(upstreamKey), "127.0.0.1:1"))
	c, err := edge.Load("edge.yaml", []byte(config))
	if err != nil {
		return nil, err
	}
	q := sniff.NewQueue(&net.TCPAddr{})
	g := agents.NewServer(2 * time.Hour)
	grpc_health_v1.RegisterHealthServer(g, health.NewServer())
	go g.Serve(q)
	h := host.Machine(slog.New(slog.DiscardHandler))
	h.Listen = func(context.Context, string, string) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }
	local := edge.Endpoint{HTTP: hello, GRPC: q.Put}
	s, err := c.New(context.Background(), h, func(address string) (edge.Endpoint, bool) { return local, address == "127.0.0.1:1" })
	if err != nil {
		return nil, err
	}
	go s.Serve(context.Background())
	return []string{s.Addrs()["127.0.0.1:9443"].String()}, nil
}

func childTLS(alpn string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(os.Getenv(pairKey)+".crt", os.Getenv(pairKey)+".key")
	return &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{alpn}}, err
}

// startBareHTTP is Go's own TLS server.
func startBareHTTP() ([]string, error) {
	conf, err := childTLS("http/1.1")
	if err != nil {
		return nil, err
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", conf)
	if err != nil {
		return nil, err
	}
	go (&http.Server{Handler: hello, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}).Serve(ln)
	return []string{ln.Addr().String()}, nil
}

// startBareGRPC is grpc-go's own server with its own TLS.
func startBareGRPC() ([]string, error) {
	conf, err := childTLS("h2")
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := grpc.NewServer(grpc.Creds(credentials.NewTLS(conf)))
	grpc_health_v1.RegisterHealthServer(g, health.NewServer())
	go g.Serve(ln)
	return []string{ln.Addr().String()}, nil
}

// frontWorkers make requests at the same time; a round is so many turns of so
// many requests to either server.
const frontWorkers, frontTurns, frontRequests = 16, 20, 800

// BenchmarkHandOver compares what a request costs behind the edge's sniff with
// what it costs at a bare server. A request's cost changes by a third from one
// second to the next, with whatever else the machine does and with how many
// requests happen to be answered at once; so the two take turns of a few
// milliseconds, and what counts is the median of rounds of many turns.
func BenchmarkHandOver(b *testing.B) {
	pair := filepath.Join(b.TempDir(), "kas")
	if _, err := state.Ensure([]state.Item{{Path: pair + "-ca.crt", Kind: state.CA}, {Path: pair + ".crt", Kind: state.Certificate, Names: []string{"kas.example.com"}}}); err != nil {
		b.Fatal(err)
	}
	edge := spawn(b, "edge", pairKey+"="+pair)
	for _, tt := range []struct {
		name, bare string
		client     func(b *testing.B, addr string) (one func() error)
		goal       float64
	}{
		{"http", "bare-http", httpClient, 1.05},
		{"grpc-unary", "bare-grpc", grpcClient, 1.1},
	} {
		b.Run(tt.name, func(b *testing.B) {
			bare := spawn(b, tt.bare, pairKey+"="+pair)
			toEdge, toBare := tt.client(b, edge.addrs[0]), tt.client(b, bare.addrs[0])
			parallel(b, toEdge) // what a connection costs to open is not each request's
			parallel(b, toBare)
			var ours, theirs, ratios []float64
			for range max(b.N, 9) {
				edgeBefore, bareBefore := edge.ask("cpu"), bare.ask("cpu")
				for range frontTurns {
					parallel(b, toEdge)
					parallel(b, toBare)
				}
				o, t := edge.ask("cpu").CPU-edgeBefore.CPU, bare.ask("cpu").CPU-bareBefore.CPU
				ours, theirs, ratios = append(ours, o), append(theirs, t), append(ratios, o/t)
			}
			slices.Sort(ratios)
			ratio := ratios[len(ratios)/2]
			b.ReportMetric(0, "ns/op")
			const us = 1e6 / (frontTurns * frontRequests)
			metric(b, slices.Min(ours)*us, "cpu-us/req")
			metric(b, slices.Min(theirs)*us, "bare-cpu-us/req")
			metric(b, ratio, "x-bare-cpu")
			if ratio > tt.goal {
				b.Errorf("%.3f times the bare server's CPU, the goal is %.2f; of single rounds %.3f", ratio, tt.goal, ratios)
			}
		})
	}
}

// clientTLS does not verify: the children's certificate is not what is measured.
func clientTLS(alpn string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, ServerName: "kas.example.com", NextProtos: []string{alpn}}
}

func httpClient(b *testing.B, addr string) func() error {
	t := &http.Transport{TLSClientConfig: clientTLS("http/1.1"), MaxIdleConnsPerHost: frontWorkers}
	b.Cleanup(t.CloseIdleConnections)
	return func() error {
		req, err := http.NewRequest("GET", "https://"+addr+"/x", nil)
		if err != nil {
			return err
		}
		resp, err := t.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
}

func grpcClient(b *testing.B, addr string) func() error {
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(credentials.NewTLS(clientTLS("h2"))))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	client := grpc_health_v1.NewHealthClient(conn)
	return func() error {
		_, err := client.Check(context.Background(), &grpc_health_v1.HealthCheckRequest{})
		return err
	}
}

// parallel is one turn.
func parallel(b *testing.B, one func() error) {
	var work sync.WaitGroup
	for range frontWorkers {
		work.Go(func() {
			for range frontRequests / frontWorkers {
				if err := one(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
}
