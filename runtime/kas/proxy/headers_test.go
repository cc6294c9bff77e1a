package proxy

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"kasgen/internal/kasrpc/grpctool"
	"kasgen/internal/kasrpc/prototool"
)

// TestNothingOfKasReachesTheCluster: neither credentials nor what stands beside
// them.
func TestNothingOfKasReachesTheCluster(t *testing.T) {
	t.Parallel()
	p, _ := newProxy(t, nil)
	r := httptest.NewRequest("GET", "/k8s-proxy/x?gitlab-agent-id=7&a=1&gitlab-csrf-token=csrf&kas-websocket-token-request=true", nil)
	r.Header = http.Header{"Authorization": {"Bearer x"}, "Cookie": {"_gitlab_kas=x; other=y"}, csrfHeader: {"csrf"}, agentHeader: {"7"}, "Origin": {origin},
		subprotocols: {"v4.channel.k8s.io, " + tokenSubprotocol + "a.b,base64.channel.k8s.io", tokenSubprotocol + "c"}, "Accept": {"*/*"}}
	head := func() *prototool.HttpRequest {
		data, err := p.head(r, forwarding{path: "/x", agent: 7, upgrade: "websocket"})
		if err != nil {
			t.Fatal(err)
		}
		var m grpctool.HttpRequest
		if err := proto.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		return m.GetHeader().GetRequest()
	}
	flat := func(m map[string]*prototool.Values) http.Header {
		h := http.Header{}
		for k, v := range m {
			h[k] = v.GetValue()
		}
		return h
	}
	want := http.Header{"Origin": {origin}, subprotocols: {"v4.channel.k8s.io, base64.channel.k8s.io"}, "Accept": {"*/*"},
		"Upgrade": {"websocket"}, "Connection": {"upgrade"}, "Via": {"gRPC/1.0 gitlab-kas/kasgen-test"}}
	if diff := cmp.Diff(want, flat(head().GetHeader())); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(http.Header{"a": {"1"}}, flat(head().GetQuery())); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	r.Header = http.Header{subprotocols: {tokenSubprotocol + "c"}}
	if got := head().GetHeader()[subprotocols]; got != nil {
		t.Errorf("subprotocols of a token alone: %v", got)
	}
}

// TestAnswerHeaders: what is not known does not pass.
func TestAnswerHeaders(t *testing.T) {
	t.Parallel()
	p, _ := newProxy(t, func(o *Options) {
		o.Headers = []string{"x-my-header", "Transfer-Encoding", "Access-Control-Allow-Origin"}
	})
	from := http.Header{"Content-Type": {"application/json"}, "audit-id": {"1"}, "X-Kubernetes-Pf-Flowschema-Uid": {"2"}, "Warning": {"a", "b"},
		"X-My-Header": {"mine"}, "Set-Cookie": {"a=b"}, "Nel": {"{}"}, "Strict-Transport-Security": {"max-age=1"}, "Www-Authenticate": {"Basic"},
		"Transfer-Encoding": {"chunked"}, "Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {"*"}, "Gitlab-Unauthorized": {"true"},
		"Connection": {"close, Etag"}, "Etag": {"x"}, "Vary": {"Accept"}, "Server": {"cluster"}, "Via": {"1.1 agent"}}
	response := &prototool.HttpResponse{Header: map[string]*prototool.Values{}}
	for name, values := range from {
		response.Header[name] = &prototool.Values{Value: values}
	}
	got := http.Header{"Vary": {"Origin"}, "Access-Control-Allow-Origin": {origin}}
	p.incoming(got, response)
	want := http.Header{"Content-Type": {"application/json"}, "Audit-Id": {"1"}, "X-Kubernetes-Pf-Flowschema-Uid": {"2"}, "Warning": {"a", "b"},
		"X-My-Header": {"mine"}, "Vary": {"Origin", "Accept"}, "Access-Control-Allow-Origin": {origin}, "Via": {"1.1 agent", "gRPC/1.0 gitlab-kas/kasgen-test"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
