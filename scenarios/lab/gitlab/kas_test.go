package gitlab

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"kasgen/internal/kasrpc/agent"
	"kasgen/runtime/host"
	"kasgen/runtime/kas"
)

// runKas runs a kas that asks g; its addresses are those of its listeners, by
// the port in the file.
func runKas(t *testing.T, g *GitLab) map[string]string {
	t.Helper()
	c, err := kas.Load("kas-config.yaml", fmt.Appendf(nil, `
gitlab: {address: %q, external_url: https://gitlab.example.com, authentication_secret_file: secret}
agent:
  listen: {address: "127.0.0.1:8150"}
  kubernetes_api: {listen: {address: "127.0.0.1:8154"}, websocket_token_secret_file: websocket}
api: {listen: {authentication_secret_file: secret}}
private_api: {listen: {authentication_secret_file: secret}}
`, g.URL()))
	if err != nil {
		t.Fatal(err)
	}
	h := host.Machine(slog.New(slog.DiscardHandler))
	h.ReadFile = func(path string) ([]byte, error) {
		key := secret
		if path == "websocket" {
			key = make([]byte, 72)
		}
		return []byte(base64.StdEncoding.EncodeToString(key)), nil
	}
	h.Listen = func(context.Context, string, string) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }
	ctx, cancel := context.WithCancel(context.Background())
	s, err := c.New(ctx, h, "18.5.0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	addrs := map[string]string{}
	for file, addr := range s.Addrs() {
		_, port, err := net.SplitHostPort(file)
		if err != nil {
			t.Fatal(err)
		}
		addrs[port] = addr.String()
	}
	return addrs
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

// TestRails: what GitLab asks kas, the kas that asks this GitLab.
func TestRails(t *testing.T) {
	t.Parallel()
	g := start(t)
	addrs := runKas(t, g)
	rails := dial(t, addrs["8153"])
	if version, err := g.Version(t.Context(), rails); err != nil || version != "18.5.0" {
		t.Errorf("version %q, %v", version, err)
	}
	if got, err := g.ConnectedAgents(t.Context(), rails, 42, 43); err != nil || len(got) != 0 {
		t.Errorf("before any agent: %v, %v", got, err)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer agent-token")
	if _, err := agent.NewAgentRegistrarClient(dial(t, addrs["8150"])).Register(ctx, &agent.RegisterRequest{PodId: 9, AgentMeta: &agent.AgentMeta{Version: "v18.5.0"}}); err != nil {
		t.Fatal(err)
	}
	got, err := g.ConnectedAgents(t.Context(), rails, 42, 43)
	if err != nil || len(got) != 1 || got[0].GetAgentId() != 42 || got[0].GetProjectId() != 7 || got[0].GetConnectionId() != 9 {
		t.Errorf("with an agent: %v, %v", got, err)
	}
}

// TestPeople: who GitLab knows gets as far as a WebSocket's token, which needs
// no agent, and nobody else does.
func TestPeople(t *testing.T) {
	t.Parallel()
	g := start(t)
	url := "http://" + runKas(t, g)["8154"] + "/watch?kas-websocket-token-request=true"
	for name, tt := range map[string]struct {
		header http.Header
		code   int
	}{
		"token":                  {http.Header{"Authorization": {"Bearer pat:42:pat"}}, 200},
		"token as the agent":     {http.Header{"Authorization": {"Bearer pat:43:pat-2"}}, 200},
		"token, not their agent": {http.Header{"Authorization": {"Bearer pat:43:pat"}}, 401},
		"token, no agent":        {http.Header{"Authorization": {"Bearer pat:1:pat"}}, 401},
		"another token":          {http.Header{"Authorization": {"Bearer pat:42:x"}}, 401},
		"session":                {http.Header{"Cookie": {"_gitlab_kas=cookie"}, "X-Csrf-Token": {"csrf"}, "Gitlab-Agent-Id": {"42"}, "Origin": {"https://gitlab.example.com"}}, 200},
		"another site's page":    {http.Header{"Cookie": {"_gitlab_kas=cookie"}, "X-Csrf-Token": {"csrf"}, "Gitlab-Agent-Id": {"42"}, "Origin": {"https://evil.example.com"}}, 403},
		"another CSRF token":     {http.Header{"Cookie": {"_gitlab_kas=cookie"}, "X-Csrf-Token": {"x"}, "Gitlab-Agent-Id": {"42"}}, 401},
		"job":                    {http.Header{"Authorization": {"Bearer ci:42:job-token"}}, 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = tt.header
		transport := &http.Transport{DisableKeepAlives: true}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tt.code {
			t.Errorf("%s: %d %s, %v; want %d", name, resp.StatusCode, body, err, tt.code)
		}
		var token struct{ Token string }
		if err := json.Unmarshal(body, &token); err != nil || (token.Token != "") != (tt.code == 200) {
			t.Errorf("%s: %s, %v", name, body, err)
		}
	}
}
