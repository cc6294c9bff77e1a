package agent

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/anypb"

	"kasgen/internal/kasrpc/grpctool"
	"kasgen/internal/kasrpc/kubeapi"
	tunnelpb "kasgen/internal/kasrpc/tunnel"
)

// TestOrder sends each possible pair of messages to the machines.
func TestOrder(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		machine func() order
		want    string // rows: the last message; columns: end, 1, 2, 3, 4, unknown
	}{
		{"tunnel", tunnelOrder, "11.... 1.11.. 1.11.. 1....."},
		{"request", requestOrder, ".1.... ..11.. ..11.. 1...1. 1...1."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var rows []string
			for last := range strings.Fields(tt.want) {
				row := ""
				for _, kind := range []int{0, 1, 2, 3, 4, kindUnknown} {
					o := tt.machine()
					o.last = last
					if o.next(kind) == nil {
						row += "1"
					} else {
						row += "."
					}
				}
				rows = append(rows, row)
			}
			if diff := cmp.Diff(tt.want, strings.Join(rows, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// step is something kas sends.
type step func(*testing.T, *fakeTunnel)

func sends(m *tunnelpb.ConnectResponse) step {
	return func(t *testing.T, f *fakeTunnel) { f.send(t, m) }
}

func sendsHTTP(m *grpctool.HttpRequest) step {
	return func(t *testing.T, f *fakeTunnel) { f.http(t, m) }
}

func TestFaultsOfKas(t *testing.T) {
	t.Parallel()
	s := serveCluster(t, http.NotFound)
	info := sends(requestInfo(kubeapi.KubernetesApi_MakeRequest_FullMethodName))
	withHead := func(change func(*grpctool.HttpRequest_Header)) step {
		h := headOf("POST", "/", http.Header{}, length(-1))
		if change != nil {
			change(h)
		}
		return sendsHTTP(headMessage(h))
	}
	head := withHead(nil)
	noBody := withHead(func(h *grpctool.HttpRequest_Header) { h.ContentLength = length(0) })
	data, trailer := sendsHTTP(dataMessage("x")), sendsHTTP(trailerMessage())
	upgrade := sendsHTTP(upgradeMessage("x"))
	for _, tt := range []struct {
		name  string
		steps []step
		want  codes.Code
	}{
		{"tunnel begins with a message", []step{head}, codes.InvalidArgument},
		{"tunnel begins with close_send", []step{sends(closeSend())}, codes.InvalidArgument},
		{"tunnel message without content", []step{sends(&tunnelpb.ConnectResponse{})}, codes.InvalidArgument},
		{"second request_info", []step{info, info}, codes.InvalidArgument},
		{"request_info within a request", []step{info, head, info}, codes.InvalidArgument},
		{"request begins with data", []step{info, data}, codes.InvalidArgument},
		{"request ends at once", []step{info, sends(closeSend())}, codes.InvalidArgument},
		{"request begins with a trailer", []step{info, trailer}, codes.InvalidArgument},
		{"second header", []step{info, head, head}, codes.InvalidArgument},
		{"end before the trailer", []step{info, head, data, sends(closeSend())}, codes.InvalidArgument},
		{"request message without content", []step{info, sendsHTTP(&grpctool.HttpRequest{})}, codes.InvalidArgument},
		{"upgrade data before the trailer", []step{info, head, upgrade}, codes.InvalidArgument},
		{"upgrade data without upgrade", []step{info, noBody, trailer, upgrade}, codes.Internal},
		{"data with content_length 0", []step{info, noBody, data}, codes.Internal},
		{"not a message", []step{info, sends(raw([]byte{0xff}))}, codes.Internal},
		{"no method", []step{info, withHead(func(h *grpctool.HttpRequest_Header) { h.Request.Method = "" })}, codes.InvalidArgument},
		{"no path", []step{info, withHead(func(h *grpctool.HttpRequest_Header) { h.Request.UrlPath = "" })}, codes.InvalidArgument},
		{"relative path", []step{info, withHead(func(h *grpctool.HttpRequest_Header) { h.Request.UrlPath = "api" })}, codes.InvalidArgument},
		{"negative length", []step{info, withHead(func(h *grpctool.HttpRequest_Header) { h.ContentLength = length(-2) })}, codes.InvalidArgument},
		{"no request", []step{info, withHead(func(h *grpctool.HttpRequest_Header) { h.Request = nil })}, codes.InvalidArgument},
		{
			"key that is not canonical",
			[]step{info, sendsHTTP(headMessage(headOf("GET", "/", http.Header{"upgrade": {"websocket"}}, length(0))))},
			codes.InvalidArgument,
		},
		{
			"extra of another type",
			[]step{info, withHead(func(h *grpctool.HttpRequest_Header) {
				h.Extra = &anypb.Any{TypeUrl: "type.googleapis.com/gitlab.agent.gitlab_access.rpc.HeaderExtra"}
			})},
			codes.Unavailable,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tunnel := <-s.kas.tunnels
			for _, do := range tt.steps {
				do(t, tunnel)
			}
			got := tunnel.rest(t)
			if got.Code != tt.want || got.Kinds[len(got.Kinds)-1] != "error" {
				t.Errorf("got %v %s after %v, want %v", got.Code, got.Message, got.Kinds, tt.want)
			}
		})
	}
}

// The API server holds its answer back, so that the fault comes within the
// request.
func TestMessageAfterCloseSend(t *testing.T) {
	t.Parallel()
	began := make(chan struct{})
	s := serveCluster(t, func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
	})
	tunnel := <-s.kas.tunnels
	tunnel.request(t, headOf("GET", "/", nil, length(0)))
	<-began
	tunnel.http(t, dataMessage("x"))
	if got := tunnel.rest(t); got.Code != codes.InvalidArgument {
		t.Errorf("%v %s", got.Code, got.Message)
	}
}
