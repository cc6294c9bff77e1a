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

const frontWorkers, frontRequests = 16, 8000

// BenchmarkHandOver compares what a request costs behind the edge's sniff with
// what it costs at a bare server.
func BenchmarkHandOver(b *testing.B) {
	pair := filepath.Join(b.TempDir(), "kas")
	if _, err := state.Ensure([]state.Item{{Path: pair + "-ca.crt", Kind: state.CA}, {Path: pair + ".crt", Kind: state.Certificate, Names: []string{"kas.example.com"}}}); err != nil {
		b.Fatal(err)
	}
	edge := spawn(b, "edge", pairKey+"="+pair)
	for _, tt := range []struct {
		name, bare string
		load       func(*testing.B, string)
		goal       float64
	}{
		{"http", "bare-http", loadHTTP, 1.05},
		{"grpc-unary", "bare-grpc", loadGRPC, 1.1},
	} {
		b.Run(tt.name, func(b *testing.B) {
			bare := spawn(b, tt.bare, pairKey+"="+pair)
			got := map[*child][]flow{}
			for range max(b.N, 7) {
				for _, c := range []*child{edge, bare} {
					before := c.ask("cpu")
					tt.load(b, c.addrs[0])
					got[c] = append(got[c], flow{cpu: c.ask("cpu").CPU - before.CPU})
				}
			}
			ours, theirs := best(got[edge]).cpu, best(got[bare]).cpu
			b.ReportMetric(0, "ns/op")
			metric(b, ours/frontRequests*1e6, "cpu-us/req")
			metric(b, theirs/frontRequests*1e6, "bare-cpu-us/req")
			metric(b, ours/theirs, "x-bare-cpu")
			if ours/theirs > tt.goal {
				b.Errorf("%.3f times the bare server's CPU, the goal is %.2f", ours/theirs, tt.goal)
			}
		})
	}
}

// clientTLS does not verify: the children's certificate is not what is measured.
func clientTLS(alpn string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, ServerName: "kas.example.com", NextProtos: []string{alpn}}
}

func loadHTTP(b *testing.B, addr string) {
	t := &http.Transport{TLSClientConfig: clientTLS("http/1.1"), MaxIdleConnsPerHost: frontWorkers}
	defer t.CloseIdleConnections()
	parallel(func() error {
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
	}, b)
}

func loadGRPC(b *testing.B, addr string) {
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(credentials.NewTLS(clientTLS("h2"))))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	client := grpc_health_v1.NewHealthClient(conn)
	parallel(func() error {
		_, err := client.Check(context.Background(), &grpc_health_v1.HealthCheckRequest{})
		return err
	}, b)
}

func parallel(one func() error, b *testing.B) {
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
