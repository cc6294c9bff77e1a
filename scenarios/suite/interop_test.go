package suite

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	orcapb "github.com/cncf/xds/go/xds/service/orca/v3"
	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/orca"
)

// The suite's own services, and the names under which topologies route them.
const (
	suitePackage = "/grpc.testing."
	ourPackage   = "/gitlab.agent.testing."
)

// interopCases are all of grpc-go's interop client but those that need
// credentials of Google's cloud (compute_engine_creds, service_account_creds,
// jwt_token_creds, per_rpc_creds, oauth2_auth_token, google_default_credentials,
// compute_engine_channel_credentials), and orcaOOB, which is not for every path.
func interopCases() map[string]func(context.Context, *channel) {
	type client = testgrpc.TestServiceClient
	service := func(run func(context.Context, client, ...grpc.CallOption)) func(context.Context, *channel) {
		return func(ctx context.Context, c *channel) { run(ctx, testgrpc.NewTestServiceClient(c.conn)) }
	}
	return map[string]func(context.Context, *channel){
		"empty_unary":                 service(interop.DoEmptyUnaryCall),
		"large_unary":                 service(interop.DoLargeUnaryCall),
		"client_streaming":            service(interop.DoClientStreaming),
		"server_streaming":            service(interop.DoServerStreaming),
		"ping_pong":                   service(interop.DoPingPong),
		"empty_stream":                service(interop.DoEmptyStream),
		"timeout_on_sleeping_server":  service(interop.DoTimeoutOnSleepingServer),
		"cancel_after_begin":          service(interop.DoCancelAfterBegin),
		"cancel_after_first_response": service(interop.DoCancelAfterFirstResponse),
		"status_code_and_message":     service(interop.DoStatusCodeAndMessage),
		"special_status_message":      service(interop.DoSpecialStatusMessage),
		"custom_metadata":             service(interop.DoCustomMetadata),
		"unimplemented_method":        func(ctx context.Context, c *channel) { interop.DoUnimplementedMethod(ctx, c.conn) },
		"unimplemented_service": func(ctx context.Context, c *channel) {
			interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(c.conn))
		},
		"pick_first_unary": func(ctx context.Context, c *channel) {
			interop.DoPickFirstUnary(ctx, testgrpc.NewTestServiceClient(c.conn))
		},
		"orca_per_rpc": func(ctx context.Context, c *channel) {
			interop.DoORCAPerRPCTest(ctx, testgrpc.NewTestServiceClient(c.conn))
		},
		orcaOOB: func(ctx context.Context, c *channel) {
			interop.DoORCAOOBTest(ctx, testgrpc.NewTestServiceClient(c.conn))
		},
		"rpc_soak": func(ctx context.Context, c *channel) {
			interop.DoSoakTest(ctx, soak(func() (*grpc.ClientConn, func()) { return c.conn, func() {} }))
		},
		"channel_soak": func(ctx context.Context, c *channel) {
			interop.DoSoakTest(ctx, soak(func() (*grpc.ClientConn, func()) {
				conn, err := c.open()
				if err != nil {
					panic(err) // the process is the case's own; there is no other way out of it
				}
				return conn, func() { conn.Close() }
			}))
		},
	}
}

// channel is one to the front, and how to open another.
type channel struct {
	conn *grpc.ClientConn
	open func() (*grpc.ClientConn, error)
}

// soak has the sizes and the count of grpc-go's client, whose failures it does
// not forgive either; how long an iteration takes is not what is asked here.
func soak(open func() (*grpc.ClientConn, func())) interop.SoakTestConfig {
	return interop.SoakTestConfig{
		RequestSize: 271828, ResponseSize: 314159, Iterations: 10, NumWorkers: 1,
		PerIterationMaxAcceptableLatency: caseLimit, OverallTimeout: caseLimit, ChannelForTest: open,
	}
}

// caseLimit is how long one case may take.
const caseLimit = 30 * time.Second

// interopServer answers in kas's place: gRPC on its own and within WebSockets.
func interopServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// grpc-go's own server does not say who it is, as pick_first_unary asks.
	s := grpc.NewServer(orca.CallMetricsServerOption(nil), grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		answer, err := handle(ctx, req)
		if r, ok := answer.(*testgrpc.SimpleResponse); ok && err == nil {
			r.ServerId = "the one in kas's place"
		}
		return answer, err
	}), grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		return handle(srv, &unhurried{stream})
	}))
	desc := testgrpc.TestService_ServiceDesc
	desc.ServiceName = strings.Trim(ourPackage, "/") + "TestService"
	metrics := orca.NewServerMetricsRecorder()
	s.RegisterService(&desc, interop.NewTestServer(interop.NewTestServerOptions{MetricsRecorder: metrics}))
	orcapb.RegisterOpenRcaServiceServer(s, &loadReports{of: metrics})
	either := newEither(ln, s)
	t.Cleanup(either.close)
	return ln.Addr().String()
}

// unhurried does not answer a stream that was ended without a message before the
// client has gone: cancel_after_begin cancels such a call and wants to see that,
// not an answer that came first because all of it is one machine.
type unhurried struct{ grpc.ServerStream }

func (u *unhurried) SendMsg(m any) error {
	if summary, ok := m.(*testgrpc.StreamingInputCallResponse); ok && summary.AggregatedPayloadSize == 0 {
		<-u.Context().Done()
	}
	return u.ServerStream.SendMsg(m)
}

// job is one case, as a child process gets it.
type job struct {
	Case, Name, Address, CA string
	WebSocket               bool
}

const jobKey = "KASGEN_INTEROP"

// runJob is the child process: the suite's cases end the process when they
// fail.
func runJob(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(j.CA))
	config := &tls.Config{RootCAs: roots, ServerName: j.Name, MinVersion: tls.VersionTLS12}
	options := []grpc.DialOption{
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return invoke(ctx, rename(method), req, reply, cc, opts...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			return open(ctx, desc, cc, rename(method), opts...)
		}),
	}
	if j.WebSocket {
		options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
			c, _, err := websocket.Dial(ctx, "wss://"+j.Address+"/", &websocket.DialOptions{HTTPClient: client, Host: j.Name, Subprotocols: []string{"ws-tunnel"}})
			if err != nil {
				return nil, err
			}
			return websocket.NetConn(context.Background(), c, websocket.MessageBinary), nil
		}))
	} else {
		options = append(options, grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithAuthority(j.Name))
	}
	if strings.HasPrefix(j.Case, "orca_") {
		options = append(options, grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"test_backend_metrics_load_balancer": {}}]}`))
	}
	open := func() (*grpc.ClientConn, error) { return grpc.NewClient("passthrough:///"+j.Address, options...) }
	conn, err := open()
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), caseLimit)
	defer cancel()
	interopCases()[j.Case](ctx, &channel{conn, open})
	return nil
}

func rename(method string) string { return strings.Replace(method, suitePackage, ourPackage, 1) }

// tally counts over all topologies.
type tally struct {
	mu     sync.Mutex
	passed int
}

// TestInterop runs every case through every topology, by each way that an
// agent has.
func TestInterop(t *testing.T) {
	var sum tally
	t.Cleanup(func() {
		left := leftOut()
		totals.add("interop: %d of %d (%d cases x %d topologies x %d transports, but for %s by grpcs in %d: %s, which route gRPC by %s)", sum.passed,
			len(interopCases())*len(topologies())*2-len(left), len(interopCases()), len(topologies()), 2, orcaOOB, len(left), strings.Join(left, "; "), strings.TrimSuffix(ourPackage, "testing."))
	})
	t.Run("topologies", func(t *testing.T) {
		for _, topology := range topologies() {
			t.Run(topology, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, topology, interopServer(t))
				for name := range interopCases() {
					for _, way := range []string{"grpcs", "wss"} {
						t.Run(way+" "+name, func(t *testing.T) {
							if name != orcaOOB { // its two would report over each other
								t.Parallel()
							}
							j := job{Case: name, CA: w.ca, WebSocket: way == "wss"}
							j.Name, j.Address = w.agents(way)
							if name == orcaOOB && way == "grpcs" && routed(topology) {
								w.notRouted(t, j)
								return
							}
							sum.note(w.run(t, j))
						})
					}
				}
			})
		}
	})
}

func (s *tally) note(pass bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if pass {
		s.passed++
	}
}

func (w *world) run(t *testing.T, j job) bool {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*caseLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), jobKey+"="+string(text), "GRPC_GO_LOG_SEVERITY_LEVEL=error")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
		return false
	}
	return true
}
