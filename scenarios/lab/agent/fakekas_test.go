package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // every agent compresses
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	agentpb "kasgen/internal/kasrpc/agent"
	tunnelpb "kasgen/internal/kasrpc/tunnel"
)

// fakeKAS is a kas whose every message the test says.
type fakeKAS struct {
	tunnelpb.UnimplementedReverseTunnelServer
	agentpb.UnimplementedAgentConfigurationServer
	agentpb.UnimplementedAgentRegistrarServer

	server  *grpc.Server
	tunnels chan *fakeTunnel
	// register and configure answer; nil means Unimplemented.
	register  func(context.Context, *agentpb.RegisterRequest) error
	configure func(*agentpb.ConfigurationRequest, grpc.ServerStreamingServer[agentpb.ConfigurationResponse]) error

	mu         sync.Mutex
	handshakes []*http.Request
	calls      []call
}

// call is what arrived with one gRPC call.
type call struct {
	method, compression string
	metadata            metadata.MD
}

func newFakeKAS(options ...grpc.ServerOption) *fakeKAS {
	k := &fakeKAS{tunnels: make(chan *fakeTunnel, maxConnections+1)}
	k.configure = func(_ *agentpb.ConfigurationRequest, s grpc.ServerStreamingServer[agentpb.ConfigurationResponse]) error {
		if err := s.Send(configurationOf(42, "c1")); err != nil {
			return err
		}
		<-s.Context().Done()
		return s.Context().Err()
	}
	k.register = func(context.Context, *agentpb.RegisterRequest) error { return nil }
	k.server = grpc.NewServer(append(options,
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 20 * time.Second, PermitWithoutStream: true}),
		grpc.StatsHandler(k))...)
	tunnelpb.RegisterReverseTunnelServer(k.server, k)
	agentpb.RegisterAgentConfigurationServer(k.server, k)
	agentpb.RegisterAgentRegistrarServer(k.server, k)
	return k
}

func configurationOf(id int64, commit string) *agentpb.ConfigurationResponse {
	return &agentpb.ConfigurationResponse{
		Configuration: &agentpb.AgentConfiguration{AgentId: id, GitlabExternalUrl: "https://gitlab.example.com"},
		CommitId:      commit,
	}
}

func (k *fakeKAS) Register(ctx context.Context, r *agentpb.RegisterRequest) (*agentpb.RegisterResponse, error) {
	if k.register == nil {
		return nil, status.Error(codes.Unimplemented, "no Register here")
	}
	return &agentpb.RegisterResponse{}, k.register(ctx, r)
}

func (k *fakeKAS) GetConfiguration(r *agentpb.ConfigurationRequest, s grpc.ServerStreamingServer[agentpb.ConfigurationResponse]) error {
	if k.configure == nil {
		return status.Error(codes.Unimplemented, "no configuration here")
	}
	return k.configure(r, s)
}

// Connect keeps the stream until the test ends the tunnel.
func (k *fakeKAS) Connect(s tunnelpb.ReverseTunnel_ConnectServer) error {
	m, err := s.Recv()
	if err != nil {
		return err
	}
	t := &fakeTunnel{stream: s, descriptor: m.GetDescriptor_(), end: make(chan error, 1), last: 1}
	select {
	case k.tunnels <- t:
	case <-s.Context().Done():
	}
	select {
	case err := <-t.end:
		return err
	case <-s.Context().Done():
		return s.Context().Err()
	}
}

func (k *fakeKAS) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (k *fakeKAS) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (k *fakeKAS) HandleConn(context.Context, stats.ConnStats)                       {}

func (k *fakeKAS) HandleRPC(_ context.Context, s stats.RPCStats) {
	if h, ok := s.(*stats.InHeader); ok {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.calls = append(k.calls, call{method: h.FullMethod, compression: h.Compression, metadata: h.Header})
	}
}

func (k *fakeKAS) seen() ([]*http.Request, []call) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]*http.Request(nil), k.handshakes...), append([]call(nil), k.calls...)
}

// serve runs the kas on a loopback port until the test ends.
func (k *fakeKAS) serve(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		if err := k.server.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	t.Cleanup(func() { k.server.Stop(); done.Wait() })
	return l.Addr().String()
}

// serveWebSocket does so behind a WebSocket.
func (k *fakeKAS) serveWebSocket(t *testing.T, start func(*httptest.Server)) *httptest.Server {
	t.Helper()
	conns := newConnListener()
	handler := func(w http.ResponseWriter, r *http.Request) {
		k.mu.Lock()
		k.handshakes = append(k.handshakes, r)
		k.mu.Unlock()
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{subprotocol}})
		if err != nil {
			return
		}
		conn := &onceClosed{Conn: websocket.NetConn(context.Background(), ws, websocket.MessageBinary), closed: make(chan struct{})}
		ws.SetReadLimit(readLimit)
		if conns.add(conn) {
			<-conn.closed
		}
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(handler))
	start(server)
	var done sync.WaitGroup
	done.Go(func() {
		if err := k.server.Serve(conns); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		k.server.Stop()
		done.Wait()
		server.Close()
	})
	return server
}

func withTLS(c *tls.Config) grpc.ServerOption { return grpc.Creds(credentials.NewTLS(c)) }

// onceClosed tells when it is closed.
type onceClosed struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *onceClosed) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.closed) })
	return err
}

// connListener gives connections that something else has accepted.
type connListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newConnListener() *connListener {
	return &connListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *connListener) add(c net.Conn) bool {
	select {
	case l.conns <- c:
		return true
	case <-l.done:
		_ = c.Close()
		return false
	}
}

func (l *connListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *connListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *connListener) Addr() net.Addr { return &net.TCPAddr{} }
