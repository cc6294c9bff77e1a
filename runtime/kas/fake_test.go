package kas

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"kasgen/internal/kasrpc/grpctool"
	"kasgen/internal/kasrpc/kubeapi"
	"kasgen/internal/kasrpc/prototool"
	"kasgen/internal/kasrpc/tunnel"
	"kasgen/runtime/host"
)

const (
	agentToken = "agent-token"
	jobToken   = "job-token"
	agentID    = 7
)

// gitlabHandler knows one agent and one job.
func gitlabHandler(access string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v4/internal/kubernetes/agent_info", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Gitlab-Agent-Api-Request") != agentToken || r.Header.Get("Gitlab-Kas-Api-Request") == "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"project_id": 3, "agent_id": %d, "agent_name": "a"}`, agentID)
	})
	mux.HandleFunc("GET /api/v4/job/allowed_agents", func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Job-Token") {
		case jobToken:
			fmt.Fprintf(w, `{"allowed_agents": [{"id": %d, "config_project": {"id": 3}, "configuration": {"access_as": %s}}, {"id": 8, "config_project": {"id": 3}, "configuration": {}}],
				"job": {"id": 11}, "pipeline": {"id": 12}, "project": {"id": 13, "groups": [{"id": 14}]}, "user": {"id": 15, "username": "u"}}`, agentID, access)
		case "forbidden":
			w.WriteHeader(http.StatusForbidden)
		case "broken":
			w.WriteHeader(http.StatusTeapot)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	return mux
}

// kasOn is a running kas.
type kasOn struct {
	agents, api, observe string
	internal, private    string
	stop                 func() error // drains; once
}

func start(t testing.TB, access string, edit func(*Config)) kasOn {
	t.Helper()
	gitlab := httptest.NewServer(gitlabHandler(access))
	t.Cleanup(gitlab.Close)
	config := fmt.Sprintf(`
gitlab: {address: %q, authentication_secret_file: secret, external_url: "https://gitlab.example.com"}
agent:
  listen: {address: "127.0.0.1:0", websocket: true}
  kubernetes_api: {listen: {address: "localhost:0", shutdown_grace_period: 1s}, url_path_prefix: /k8s-proxy}
observability: {listen: {address: "[::1]:0"}}
api: {listen: {address: "127.0.0.1:1", authentication_secret_file: secret}}
private_api: {listen: {address: "127.0.0.1:2", authentication_secret_file: secret}}
`, gitlab.URL)
	return startFile(t, config, nil, edit)
}

// startFile runs a file; files are the contents of those that it names, of
// which any other is a secret of 32 bytes.
func startFile(t testing.TB, config string, files map[string][]byte, edit func(*Config)) kasOn {
	t.Helper()
	c, err := Load("kas-config.yaml", []byte(config))
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(c)
	}
	h := host.Machine(slog.New(slog.DiscardHandler))
	h.ReadFile = func(path string) ([]byte, error) {
		if data, ok := files[path]; ok {
			return data, nil
		}
		return []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), nil
	}
	listen := h.Listen
	h.Listen = func(ctx context.Context, network, _ string) (net.Listener, error) {
		return listen(ctx, network, "127.0.0.1:0")
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := c.New(ctx, h, "test")
	if err != nil {
		t.Fatal(err)
	}
	if s.proxy != nil {
		s.proxy.FindTunnel = 300 * time.Millisecond
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	k := kasOn{agents: s.Addrs()["127.0.0.1:0"].String(), observe: s.Addrs()["[::1]:0"].String(), api: s.Addrs()["localhost:0"].String()}
	k.internal, k.private = s.Addrs()["127.0.0.1:1"].String(), s.Addrs()["127.0.0.1:2"].String()
	k.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := k.stop(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// call is one request as a fake agent sees it.
type call struct {
	stream tunnel.ReverseTunnel_ConnectClient
	t      testing.TB
}

// next is the request's next message, or nil when kas has half-closed.
func (c *call) next() (*grpctool.HttpRequest, error) {
	m, err := c.stream.Recv()
	if err != nil {
		return nil, err
	}
	if m.GetCloseSend() != nil {
		return nil, nil
	}
	var h grpctool.HttpRequest
	return &h, proto.Unmarshal(m.GetMessage().GetData(), &h)
}

func (c *call) send(m *tunnel.ConnectRequest) {
	if err := c.stream.Send(m); err != nil && !errors.Is(err, io.EOF) {
		c.t.Log("fake agent:", err)
	}
}

func (c *call) message(h *grpctool.HttpResponse) {
	data, err := proto.Marshal(h)
	if err != nil {
		c.t.Error(err)
	}
	c.send(&tunnel.ConnectRequest{Msg: &tunnel.ConnectRequest_Message{Message: &tunnel.Message{Data: data}}})
}

// head begins the answer.
func (c *call) head(code int32, header map[string]string) {
	c.send(&tunnel.ConnectRequest{Msg: &tunnel.ConnectRequest_Header{Header: &tunnel.Header{}}})
	h := map[string]*prototool.Values{}
	for k, v := range header {
		h[k] = &prototool.Values{Value: []string{v}}
	}
	c.message(&grpctool.HttpResponse{Message: &grpctool.HttpResponse_Header_{Header: &grpctool.HttpResponse_Header{
		Response: &prototool.HttpResponse{StatusCode: code, Header: h}}}})
}

func (c *call) data(s string) {
	c.message(&grpctool.HttpResponse{Message: &grpctool.HttpResponse_Data_{Data: &grpctool.HttpResponse_Data{Data: []byte(s)}}})
}

func (c *call) upgraded(s string) {
	c.message(&grpctool.HttpResponse{Message: &grpctool.HttpResponse_UpgradeData_{UpgradeData: &grpctool.HttpResponse_UpgradeData{Data: []byte(s)}}})
}

func (c *call) trailer() {
	c.message(&grpctool.HttpResponse{Message: &grpctool.HttpResponse_Trailer_{Trailer: &grpctool.HttpResponse_Trailer{}}})
}

// end ends the tunnel in order.
func (c *call) end() {
	c.send(&tunnel.ConnectRequest{Msg: &tunnel.ConnectRequest_Trailer{Trailer: &tunnel.Trailer{}}})
	if err := c.stream.CloseSend(); err != nil {
		c.t.Log("fake agent:", err)
	}
}

// answer is a whole ordinary answer.
func (c *call) answer(code int32, body string) {
	c.head(code, map[string]string{"Content-Type": "text/plain"})
	if body != "" {
		c.data(body)
	}
	c.trailer()
	c.end()
}

// fakeAgent holds one idle tunnel and gives each request to handle. It stops
// with the test, or when the function it returns is called.
func fakeAgent(t testing.TB, address string, handle func(*call)) (stop func()) {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+agentToken))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			stream, err := tunnel.NewReverseTunnelClient(conn).Connect(ctx)
			if err != nil {
				continue
			}
			c := &call{stream: stream, t: t}
			c.send(&tunnel.ConnectRequest{Msg: &tunnel.ConnectRequest_Descriptor_{Descriptor_: descriptor()}})
			m, err := stream.Recv()
			if err != nil {
				continue
			}
			if got := m.GetRequestInfo().GetMethodName(); got != kubeapi.KubernetesApi_MakeRequest_FullMethodName {
				t.Errorf("the request calls %q", got)
			}
			handle(c)
			for err == nil { // until kas has ended the stream
				_, err = stream.Recv()
			}
		}
	}()
	stop = func() { cancel(); conn.Close(); <-done }
	t.Cleanup(stop)
	return stop
}

func request(t testing.TB, k kasOn, method, path, token string, body io.Reader) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+k.api+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp, string(b) + " cut: " + err.Error()
	}
	return resp, string(b)
}

var bearer = fmt.Sprintf("Bearer ci:%d:%s", agentID, jobToken)

func descriptor() *tunnel.Descriptor {
	service, method, _ := strings.Cut(strings.TrimPrefix(kubeapi.KubernetesApi_MakeRequest_FullMethodName, "/"), "/")
	return &tunnel.Descriptor{AgentDescriptor: &tunnel.AgentDescriptor{Services: []*tunnel.Service{
		{Name: service, Methods: []*tunnel.Method{{Name: method}}}}}}
}

func agentError(code int32, message string) *tunnel.ConnectRequest {
	return &tunnel.ConnectRequest{Msg: &tunnel.ConnectRequest_Error{Error: &tunnel.Error{Status: &rpcstatus.Status{Code: code, Message: message}}}}
}

func tunnelHeader() *tunnel.ConnectRequest {
	return &tunnel.ConnectRequest{Msg: &tunnel.ConnectRequest_Header{Header: &tunnel.Header{}}}
}

func tunnelTrailer() *tunnel.ConnectRequest {
	return &tunnel.ConnectRequest{Msg: &tunnel.ConnectRequest_Trailer{Trailer: &tunnel.Trailer{}}}
}

func responseHead(code int32) *grpctool.HttpResponse {
	return &grpctool.HttpResponse{Message: &grpctool.HttpResponse_Header_{Header: &grpctool.HttpResponse_Header{
		Response: &prototool.HttpResponse{StatusCode: code}}}}
}
