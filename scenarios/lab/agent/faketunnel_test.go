package agent

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"kasgen/internal/kasrpc/grpctool"
	"kasgen/internal/kasrpc/kubeapi"
	"kasgen/internal/kasrpc/prototool"
	tunnelpb "kasgen/internal/kasrpc/tunnel"
)

// fakeTunnel is one Connect stream as kas has it. Receiving holds the agent to
// the order of its messages.
type fakeTunnel struct {
	stream     tunnelpb.ReverseTunnel_ConnectServer
	descriptor *tunnelpb.Descriptor
	end        chan error // what the stream ends with
	last       int
}

func (f *fakeTunnel) send(t *testing.T, m *tunnelpb.ConnectResponse) {
	t.Helper()
	if err := f.stream.Send(m); err != nil {
		t.Errorf("kas sends: %v", err)
	}
}

func requestInfo(method string) *tunnelpb.ConnectResponse {
	return &tunnelpb.ConnectResponse{Msg: &tunnelpb.ConnectResponse_RequestInfo{RequestInfo: &tunnelpb.RequestInfo{
		MethodName: method,
		Meta:       map[string]*prototool.Values{":authority": {Value: []string{"kas"}}},
	}}}
}

func closeSend() *tunnelpb.ConnectResponse {
	return &tunnelpb.ConnectResponse{Msg: &tunnelpb.ConnectResponse_CloseSend{CloseSend: &tunnelpb.CloseSend{}}}
}

func raw(data []byte) *tunnelpb.ConnectResponse {
	return &tunnelpb.ConnectResponse{Msg: &tunnelpb.ConnectResponse_Message{Message: &tunnelpb.Message{Data: data}}}
}

func (f *fakeTunnel) http(t *testing.T, m *grpctool.HttpRequest) {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	f.send(t, raw(data))
}

func headOf(method, path string, header http.Header, length *int64) *grpctool.HttpRequest_Header {
	h := map[string]*prototool.Values{}
	for k, v := range header {
		h[k] = &prototool.Values{Value: v}
	}
	return &grpctool.HttpRequest_Header{
		Request:       &prototool.HttpRequest{Method: method, UrlPath: path, Header: h},
		ContentLength: length,
	}
}

func headMessage(h *grpctool.HttpRequest_Header) *grpctool.HttpRequest {
	return &grpctool.HttpRequest{Message: &grpctool.HttpRequest_Header_{Header: h}}
}

func dataMessage(p string) *grpctool.HttpRequest {
	return &grpctool.HttpRequest{Message: &grpctool.HttpRequest_Data_{Data: &grpctool.HttpRequest_Data{Data: []byte(p)}}}
}

func trailerMessage() *grpctool.HttpRequest {
	return &grpctool.HttpRequest{Message: &grpctool.HttpRequest_Trailer_{Trailer: &grpctool.HttpRequest_Trailer{}}}
}

func upgradeMessage(p string) *grpctool.HttpRequest {
	return &grpctool.HttpRequest{Message: &grpctool.HttpRequest_UpgradeData_{UpgradeData: &grpctool.HttpRequest_UpgradeData{Data: []byte(p)}}}
}

// start begins a MakeRequest with its head.
func (f *fakeTunnel) start(t *testing.T, h *grpctool.HttpRequest_Header) {
	t.Helper()
	f.send(t, requestInfo(kubeapi.KubernetesApi_MakeRequest_FullMethodName))
	f.http(t, headMessage(h))
}

// request sends a whole request without upgrade.
func (f *fakeTunnel) request(t *testing.T, h *grpctool.HttpRequest_Header, body ...string) {
	t.Helper()
	f.start(t, h)
	for _, p := range body {
		f.http(t, dataMessage(p))
	}
	f.http(t, trailerMessage())
	f.send(t, closeSend())
}

// receive gives the agent's next message, nil after its half-close.
func (f *fakeTunnel) receive(t *testing.T) *tunnelpb.ConnectRequest {
	t.Helper()
	m, err := f.stream.Recv()
	kind := 0
	switch {
	case errors.Is(err, io.EOF):
	case err != nil:
		t.Fatalf("kas receives: %v", err)
	default:
		switch m.Msg.(type) {
		case *tunnelpb.ConnectRequest_Header:
			kind = 2
		case *tunnelpb.ConnectRequest_Message:
			kind = 3
		case *tunnelpb.ConnectRequest_Trailer:
			kind = 4
		case *tunnelpb.ConnectRequest_Error:
			kind = 5
		}
	}
	after := map[int][]int{1: {2, 5}, 2: {3, 4}, 3: {3, 4}, 4: {5, 0}, 5: {0}}[f.last]
	for _, k := range after {
		if k == kind {
			f.last = kind
			return m
		}
	}
	t.Fatalf("the agent sent message %d after %d", kind, f.last)
	return nil
}

// answer is all that the agent sent in reply to one request.
type answer struct {
	Kinds    []string // as they came, repeated ones once
	Code     codes.Code
	Message  string
	Head     *prototool.HttpResponse
	Body     string
	Upgraded string
}

// rest reads to the half-close, and ends the stream.
func (f *fakeTunnel) rest(t *testing.T) answer {
	t.Helper()
	var a answer
	for {
		m := f.receive(t)
		if m == nil {
			f.end <- nil
			return a
		}
		a.add(t, m)
	}
}

func (a *answer) add(t *testing.T, m *tunnelpb.ConnectRequest) {
	t.Helper()
	kind := ""
	switch v := m.Msg.(type) {
	case *tunnelpb.ConnectRequest_Header:
		kind = "header"
	case *tunnelpb.ConnectRequest_Trailer:
		kind = "trailer"
	case *tunnelpb.ConnectRequest_Error:
		kind = "error"
		a.Code = codes.Code(v.Error.GetStatus().GetCode())
		a.Message = v.Error.GetStatus().GetMessage()
	case *tunnelpb.ConnectRequest_Message:
		kind = a.addHTTP(t, v.Message.GetData())
	}
	if n := len(a.Kinds); n == 0 || a.Kinds[n-1] != kind {
		a.Kinds = append(a.Kinds, kind)
	}
}

func (a *answer) addHTTP(t *testing.T, data []byte) string {
	t.Helper()
	var r grpctool.HttpResponse
	if err := proto.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	switch v := r.Message.(type) {
	case *grpctool.HttpResponse_Header_:
		a.Head = v.Header.GetResponse()
		return "http header"
	case *grpctool.HttpResponse_Data_:
		a.Body += string(v.Data.GetData())
		if n := len(v.Data.GetData()); n > 32<<10 {
			t.Errorf("data of %d bytes", n)
		}
		return "http data"
	case *grpctool.HttpResponse_UpgradeData_:
		a.Upgraded += string(v.UpgradeData.GetData())
		if n := len(v.UpgradeData.GetData()); n > 32<<10 {
			t.Errorf("upgrade data of %d bytes", n)
		}
		return "upgrade data"
	default:
		return "http trailer"
	}
}

// until reads until done is content.
func (f *fakeTunnel) until(t *testing.T, a *answer, done func() bool) {
	t.Helper()
	for !done() {
		m := f.receive(t)
		if m == nil {
			t.Fatalf("the agent half-closed after %v", a.Kinds)
		}
		a.add(t, m)
	}
}
