package agents

import (
	"context"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"kasgen/internal/kasrpc/agent"
	"kasgen/internal/kasrpc/tunnel"
	"kasgen/runtime/cache"
	"kasgen/runtime/gitlab"
	"kasgen/runtime/kas/tunnels"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeGitLab knows the token "good", and counts.
type fakeGitLab struct{ asked atomic.Int32 }

func (g *fakeGitLab) AgentInfo(_ context.Context, token string) (gitlab.AgentInfo, error) {
	g.asked.Add(1)
	if token != "good" && token != "other" {
		return gitlab.AgentInfo{}, gitlab.ErrUnauthorized
	}
	return gitlab.AgentInfo{ProjectID: 3, AgentID: 7}, nil
}

// serve is an agent server's address.
func serve(t *testing.T, idle time.Duration, perMinute uint32) (string, *fakeGitLab, *tunnels.Registry) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g, registry := &fakeGitLab{}, tunnels.New()
	s := New(Options{Log: slog.New(slog.DiscardHandler), GitLab: g, Tunnels: registry, MaxConnectionAge: time.Hour,
		InfoTTL: time.Minute, InfoErrorTTL: time.Minute, PerTokenMinute: perMinute, Connected: NewConnected()})
	server := newServer(time.Hour, idle)
	s.RegisterOn(server)
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	t.Cleanup(func() {
		s.Drain()
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String(), g, registry
}

func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func as(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// become waits until a connection has a state.
func become(t *testing.T, conn *grpc.ClientConn, want connectivity.State) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for s := conn.GetState(); s != want; s = conn.GetState() {
		if !conn.WaitForStateChange(ctx, s) {
			t.Fatalf("the connection is %v and does not become %v", s, want)
		}
	}
}

// TestIdleConnections: one that calls nothing is ended, one whose tunnel waits
// is not.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	address, _, registry := serve(t, 200*time.Millisecond, 100)
	holds := dial(t, address)
	stream, err := tunnel.NewReverseTunnelClient(holds).Connect(as(t.Context(), "good"))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&tunnel.ConnectRequest{Msg: &tunnel.ConnectRequest_Descriptor_{Descriptor_: &tunnel.Descriptor{
		AgentDescriptor: &tunnel.AgentDescriptor{Services: []*tunnel.Service{{Name: "s", Methods: []*tunnel.Method{{Name: "m"}}}}}}}}); err != nil {
		t.Fatal(err)
	}
	// Twice as long as the limit, and more.
	for range 3 {
		silent := dial(t, address)
		silent.Connect()
		become(t, silent, connectivity.Ready)
		become(t, silent, connectivity.Idle)
	}
	if got := holds.GetState(); got != connectivity.Ready {
		t.Errorf("the connection with a tunnel is %v", got)
	}
	taken, err := registry.Take(t.Context(), 7, "/s/m")
	if err != nil {
		t.Fatal(err)
	}
	if err := taken.Send(&tunnel.ConnectResponse{Msg: &tunnel.ConnectResponse_CloseSend{CloseSend: &tunnel.CloseSend{}}}); err != nil {
		t.Error(err)
	}
	if m, err := stream.Recv(); err != nil || m.GetCloseSend() == nil {
		t.Errorf("the tunnel carried %v, %v", m, err)
	}
	taken.Finish(nil)
}

// TestRate: calls are counted by token, not by connection, and one token's
// calls are nobody else's.
func TestRate(t *testing.T) {
	t.Parallel()
	address, g, _ := serve(t, time.Minute, 3)
	register := func(token string) codes.Code {
		_, err := agent.NewAgentRegistrarClient(dial(t, address)).Register(as(t.Context(), token), &agent.RegisterRequest{PodId: 1})
		return status.Code(err)
	}
	// Over a minute's end the count begins anew, at the most once.
	refused := 0
	for range 8 {
		if register("good") == codes.ResourceExhausted {
			refused++
		}
	}
	if refused < 2 || refused > 5 {
		t.Errorf("%d of 8 calls were refused with 3 allowed", refused)
	}
	if got := register("other"); got != codes.OK {
		t.Errorf("another token: %v", got)
	}
	for range 2 {
		if got := register("bad"); got != codes.Unauthenticated {
			t.Errorf("a bad token: %v", got)
		}
	}
	if n := g.asked.Load(); n != 3 {
		t.Errorf("GitLab was asked %d times about 3 tokens", n)
	}
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	l := limiter{perMinute: 2}
	minute := time.Unix(1_800_000_000, 0).Truncate(time.Minute)
	one, two := cache.KeyOf("one"), cache.KeyOf("two")
	for i, tt := range []struct {
		key  cache.Key
		at   time.Duration
		want bool
	}{
		{one, 0, true}, {one, 30 * time.Second, true}, {one, 59 * time.Second, false}, {two, 59 * time.Second, true},
		{one, time.Minute, true}, {one, time.Minute, true}, {one, 61 * time.Second, false},
	} {
		if got := l.allow(tt.key, minute.Add(tt.at)); got != tt.want {
			t.Errorf("call %d: %t", i, got)
		}
	}
}

// TestTokens: what a call bears and is not a token.
func TestTokens(t *testing.T) {
	t.Parallel()
	address, g, _ := serve(t, time.Minute, 100)
	for _, values := range [][]string{nil, {"Bearer"}, {"Bearer "}, {"Basic good"}, {"good"}, {"Bearer good", "Bearer good"}} {
		ctx := t.Context()
		for _, v := range values {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", v)
		}
		_, err := agent.NewAgentRegistrarClient(dial(t, address)).Register(ctx, &agent.RegisterRequest{})
		if status.Code(err) != codes.Unauthenticated {
			t.Errorf("%q: %v", values, err)
		}
	}
	if n := g.asked.Load(); n != 0 {
		t.Errorf("GitLab was asked %d times", n)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "bEARER good")
	if _, err := agent.NewAgentRegistrarClient(dial(t, address)).Register(ctx, &agent.RegisterRequest{}); err != nil {
		t.Errorf("a scheme in other letters: %v", err)
	}
}
