package kas

import (
	"context"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"kasgen/internal/kasrpc/agent"
	"kasgen/internal/kasrpc/agenttracker"
	"kasgen/internal/kasrpc/serverinfo"
	"kasgen/internal/kasrpc/tunnel"
)

func dialGRPC(t testing.TB, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func bearing(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "bearer "+token)
}

func signed(t testing.TB, key []byte, edit func(*jwt.RegisteredClaims)) string {
	t.Helper()
	claims := jwt.RegisteredClaims{Issuer: "gitlab.example.com", Audience: jwt.ClaimStrings{"gitlab-kas"}, ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Minute))}
	if edit != nil {
		edit(&claims)
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestAPICallers: who has the secret is answered, or told that the method is
// not there; anybody else is told nothing at all.
func TestAPICallers(t *testing.T) {
	t.Parallel()
	k := start(t, "null", nil)
	secret := make([]byte, 32)
	const known, unknown = "/gitlab.agent.server_info.rpc.ServerInfo/GetServerInfo", "/gitlab.agent.configuration_project.rpc.ConfigurationProject/ListAgentConfigFiles"
	for name, tt := range map[string]struct {
		token string
		ok    bool
	}{
		"good":             {signed(t, secret, nil), true},
		"another audience": {signed(t, secret, func(c *jwt.RegisteredClaims) { c.Audience = jwt.ClaimStrings{"gitlab"} }), false},
		"another key":      {signed(t, []byte("another key"), nil), false},
		"ended":            {signed(t, secret, func(c *jwt.RegisteredClaims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Hour)) }), false},
		"without end":      {signed(t, secret, func(c *jwt.RegisteredClaims) { c.ExpiresAt = nil }), false},
		"none":             {"", false},
	} {
		for _, call := range []struct {
			address, method string
			want            codes.Code
		}{
			{k.internal, known, codes.OK}, {k.internal, unknown, codes.Unimplemented},
			{k.private, known, codes.Unimplemented},
		} {
			if !tt.ok {
				call.want = codes.Unauthenticated
			}
			err := dialGRPC(t, call.address).Invoke(bearing(t.Context(), tt.token), call.method, &tunnel.CloseSend{}, &tunnel.CloseSend{})
			if status.Code(err) != call.want {
				t.Errorf("%s: %s at %s: %v, want %v", name, call.method, call.address, err, call.want)
			}
		}
	}
}

// TestRails: what GitLab asks.
func TestRails(t *testing.T) {
	t.Parallel()
	k := start(t, "null", nil)
	ctx := bearing(t.Context(), signed(t, make([]byte, 32), nil))
	conn := dialGRPC(t, k.internal)
	info, err := serverinfo.NewServerInfoClient(conn).GetServerInfo(ctx, &serverinfo.GetServerInfoRequest{})
	if err != nil || info.GetCurrentServerInfo().GetVersion() != "test" {
		t.Errorf("GetServerInfo: %v, %v", info, err)
	}
	tracker := agenttracker.NewAgentTrackerClient(conn)
	byID := func(ids ...int64) []int64 {
		t.Helper()
		got, err := tracker.GetConnectedAgentsByAgentIDs(ctx, &agenttracker.GetConnectedAgentsByAgentIDsRequest{AgentIds: ids})
		if err != nil {
			t.Fatal(err)
		}
		return pods(got.GetAgents())
	}
	if got := byID(agentID); len(got) != 0 {
		t.Errorf("before any agent: %v", got)
	}
	registrar := agent.NewAgentRegistrarClient(dialGRPC(t, k.agents))
	asAgent := bearing(t.Context(), agentToken)
	before := time.Now().Add(-time.Second)
	for _, pod := range []int64{21, 22, 21} {
		if _, err := registrar.Register(asAgent, &agent.RegisterRequest{PodId: pod, AgentMeta: &agent.AgentMeta{Version: "v18.5.0", PodName: "p"}}); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(req *agenttracker.GetConnectedAgentsRequest) []*agenttracker.ConnectedAgentInfo {
		t.Helper()
		got, err := tracker.GetConnectedAgents(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		return got.GetAgents()
	}
	ofAgent := func(id int64) *agenttracker.GetConnectedAgentsRequest {
		return &agenttracker.GetConnectedAgentsRequest{Request: &agenttracker.GetConnectedAgentsRequest_AgentId{AgentId: id}}
	}
	ofProject := func(id int64) *agenttracker.GetConnectedAgentsRequest {
		return &agenttracker.GetConnectedAgentsRequest{Request: &agenttracker.GetConnectedAgentsRequest_ProjectId{ProjectId: id}}
	}
	got := map[string][]int64{
		"ids": byID(agentID, 99, agentID), "other ids": byID(99), "no ids": byID(),
		"agent": pods(ask(ofAgent(agentID))), "other agent": pods(ask(ofAgent(99))),
		"project": pods(ask(ofProject(3))), "other project": pods(ask(ofProject(4))),
	}
	want := map[string][]int64{"ids": {21, 22}, "other ids": nil, "no ids": nil, "agent": {21, 22}, "other agent": nil, "project": {21, 22}, "other project": nil}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	first := ask(ofAgent(agentID))[0]
	if m := first.GetAgentMeta(); first.GetAgentId() != agentID || first.GetProjectId() != 3 || m.GetVersion() != "v18.5.0" || first.GetConnectedAt().AsTime().Before(before) {
		t.Errorf("got %v", first)
	}
	if _, err := tracker.GetConnectedAgents(ctx, &agenttracker.GetConnectedAgentsRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a request that names nothing: %v", err)
	}
	if _, err := registrar.Unregister(asAgent, &agent.UnregisterRequest{PodId: 21}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{22}, byID(agentID)); diff != "" {
		t.Errorf("after one has left (-want +got):\n%s", diff)
	}
}

func pods(infos []*agenttracker.ConnectedAgentInfo) []int64 {
	var ids []int64
	for _, i := range infos {
		ids = append(ids, i.GetConnectionId())
	}
	return ids
}
