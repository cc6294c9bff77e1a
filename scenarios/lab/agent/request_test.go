package agent

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"k8s.io/client-go/rest"

	agentpb "kasgen/internal/kasrpc/agent"
	"kasgen/internal/kasrpc/prototool"
)

func TestRequest(t *testing.T) {
	t.Parallel()
	s := serveClusterOver(t, false, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Api", "yes")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "%s %s %q length=%d body=%s agent=%s via=%q", r.Method, r.RequestURI,
			r.TransferEncoding, r.ContentLength, body, r.UserAgent(), r.Header.Values("Via"))
	})
	agent := http.Header{"User-Agent": {"kubectl"}, "Via": {"gRPC/1.0 gitlab-kas/v1/c"}}
	const via = `agent=kubectl via=["gRPC/1.0 gitlab-kas/v1/c" "gRPC/1.0 gitlab-agent/v1.2.3/abcdef0"]`
	for _, tt := range []struct {
		name, method string
		length       *int64
		body         []string
		want         string
	}{
		{"no body", "GET", length(0), nil, `GET /api/v1/pods?a=1&a=2&b=%2F [] length=0 body= ` + via},
		{"no body to post", "POST", length(0), nil, `POST /api/v1/pods?a=1&a=2&b=%2F [] length=0 body= ` + via},
		{"known length", "POST", length(6), []string{"abc", "def"}, `POST /api/v1/pods?a=1&a=2&b=%2F ["chunked"] length=-1 body=abcdef ` + via},
		{"unknown length", "PUT", length(-1), []string{"abc"}, `PUT /api/v1/pods?a=1&a=2&b=%2F ["chunked"] length=-1 body=abc ` + via},
		{"old kas", "POST", nil, []string{"abc"}, `POST /api/v1/pods?a=1&a=2&b=%2F ["chunked"] length=-1 body=abc ` + via},
		{"old kas without a body", "GET", nil, nil, `GET /api/v1/pods?a=1&a=2&b=%2F [] length=0 body= ` + via},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tunnel := <-s.kas.tunnels
			head := headOf(tt.method, "/api/v1/pods", agent, tt.length)
			head.Request.Query = map[string]*prototool.Values{"b": {Value: []string{"/"}}, "a": {Value: []string{"1", "2"}}}
			tunnel.request(t, head, tt.body...)
			got := tunnel.rest(t)
			want := []string{"header", "http header", "http data", "http trailer", "trailer"}
			if diff := cmp.Diff(want, got.Kinds); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.want, got.Body); diff != "" {
				t.Error(diff)
			}
			if got.Head.GetStatusCode() != 201 || got.Head.GetStatus() == "" {
				t.Errorf("status %d %q", got.Head.GetStatusCode(), got.Head.GetStatus())
			}
			if diff := cmp.Diff([]string{"yes"}, got.Head.GetHeader()["X-Api"].GetValue()); diff != "" {
				t.Error(diff)
			}
			if v := got.Head.GetHeader()["Via"].GetValue(); len(v) != 1 || !strings.HasSuffix(v[0], " gitlab-agent/v1.2.3/abcdef0") {
				t.Errorf("Via: %q", v)
			}
		})
	}
}

func TestRegisterWithVersion(t *testing.T) {
	t.Parallel()
	cluster := httptest.NewTLSServer(withVersion(http.NotFound))
	t.Cleanup(cluster.Close)
	seen := make(chan *agentpb.KubernetesVersion, 1)
	k := newFakeKAS()
	k.register = func(_ context.Context, r *agentpb.RegisterRequest) error {
		seen <- r.GetAgentMeta().GetKubernetesVersion()
		return nil
	}
	run(t, Options{KasURL: "grpc://" + k.serve(t), Cluster: clusterOf(cluster)})
	want := &agentpb.KubernetesVersion{Major: "1", Minor: "37", GitVersion: "v1.37.2", Platform: "linux/amd64"}
	if got := <-seen; !proto.Equal(want, got) {
		t.Errorf("registered %v", got)
	}
}

func TestDescriptor(t *testing.T) {
	t.Parallel()
	s := serveCluster(t, http.NotFound)
	services := (<-s.kas.tunnels).descriptor.GetAgentDescriptor().GetServices()
	if len(services) != 1 || services[0].GetName() != "gitlab.agent.kubernetes_api.rpc.KubernetesApi" ||
		len(services[0].GetMethods()) != 1 || services[0].GetMethods()[0].GetName() != "MakeRequest" {
		t.Errorf("descriptor: %v", services)
	}
}

func TestUnknownMethod(t *testing.T) {
	t.Parallel()
	s := serveCluster(t, http.NotFound)
	tunnel := <-s.kas.tunnels
	tunnel.send(t, requestInfo("/gitlab.agent.kubernetes_api.rpc.KubernetesApi/WatchGraph"))
	got := tunnel.rest(t)
	if diff := cmp.Diff([]string{"error"}, got.Kinds); diff != "" || got.Code != codes.Unimplemented {
		t.Errorf("%v: %s", got.Code, diff)
	}
}

// Plain requests go by HTTP/2 where the API server speaks it.
func TestHTTP2ToTheCluster(t *testing.T) {
	t.Parallel()
	s := serveCluster(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	tunnel := <-s.kas.tunnels
	tunnel.request(t, headOf("GET", "/", nil, length(0)))
	if got := tunnel.rest(t); got.Body != "HTTP/2.0" {
		t.Errorf("the API server saw %s", got.Body)
	}
}

// Over plain HTTP, because TLS and HTTP/2 have smaller pieces by themselves.
func TestLargeAnswerComesInChunks(t *testing.T) {
	t.Parallel()
	want := strings.Repeat("0123456789abcdef", 1<<16)
	cluster := httptest.NewServer(withVersion(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(want)))
		_, _ = io.WriteString(w, want)
	}))
	t.Cleanup(cluster.Close)
	k := newFakeKAS()
	run(t, Options{KasURL: "grpc://" + k.serve(t), Cluster: &rest.Config{Host: cluster.URL}})
	tunnel := <-k.tunnels
	tunnel.request(t, headOf("GET", "/", nil, length(0)))
	if got := tunnel.rest(t); got.Body != want {
		t.Errorf("%d bytes, want %d", len(got.Body), len(want))
	}
}

// A watch sends what it has at once.
func TestAnswerIsNotHeldBack(t *testing.T) {
	t.Parallel()
	more := make(chan struct{})
	s := serveCluster(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		<-more
		_, _ = io.WriteString(w, "second")
	})
	tunnel := <-s.kas.tunnels
	tunnel.request(t, headOf("GET", "/", nil, length(0)))
	var got answer
	tunnel.until(t, &got, func() bool { return got.Body == "first" })
	close(more)
	tunnel.until(t, &got, func() bool { return got.Body == "firstsecond" })
	tunnel.rest(t)
}

// kas sends the whole body before it reads the answer, also of an API server
// that has refused the request at its head.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	s := serveCluster(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	})
	tunnel := <-s.kas.tunnels
	tunnel.start(t, headOf("POST", "/", nil, length(-1)))
	piece := strings.Repeat("x", 32<<10)
	for range 200 {
		tunnel.http(t, dataMessage(piece))
	}
	tunnel.http(t, trailerMessage())
	tunnel.send(t, closeSend())
	if got := tunnel.rest(t); got.Head.GetStatusCode() != http.StatusRequestEntityTooLarge || got.Code != codes.OK {
		t.Errorf("status %d, %v %s", got.Head.GetStatusCode(), got.Code, got.Message)
	}
}

func TestNoAPIServer(t *testing.T) {
	t.Parallel()
	kas := newFakeKAS()
	run(t, Options{KasURL: "grpc://" + kas.serve(t)})
	for _, header := range []http.Header{nil, {"Upgrade": {"SPDY/3.1"}, "Connection": {"upgrade"}}} {
		tunnel := <-kas.tunnels
		tunnel.request(t, headOf("POST", "/", header, length(3)), "abc")
		got := tunnel.rest(t)
		if diff := cmp.Diff([]string{"header", "trailer", "error"}, got.Kinds); diff != "" || got.Code != codes.Unavailable {
			t.Errorf("%v %s: %s", got.Code, got.Message, diff)
		}
	}
}

// kas ends the stream of a client that has gone, and the API server learns it.
func TestCancelReachesTheCluster(t *testing.T) {
	t.Parallel()
	began, gone := make(chan struct{}), make(chan struct{})
	s := serveCluster(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		close(began)
		<-r.Context().Done()
		close(gone)
	})
	tunnel := <-s.kas.tunnels
	tunnel.request(t, headOf("GET", "/", nil, length(0)))
	<-began
	tunnel.end <- nil
	<-gone
}

func TestOnRequest(t *testing.T) {
	t.Parallel()
	seen := make(chan Request, 1)
	s := serveCluster(t, http.NotFound, func(o *Options) { o.OnRequest = func(r Request) { seen <- r } })
	tunnel := <-s.kas.tunnels
	tunnel.request(t, headOf("GET", "/x", http.Header{"User-Agent": {"helm"}}, length(0)))
	tunnel.rest(t)
	want := Request{Method: "GET", Path: "/x", UserAgent: "helm", Status: 404}
	if diff := cmp.Diff(want, <-seen); diff != "" {
		t.Error(diff)
	}
}

// An API server that breaks off in the middle of its answer.
func TestAnswerBreaksOff(t *testing.T) {
	t.Parallel()
	s := serveCluster(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	for _, header := range []http.Header{nil, {"Upgrade": {"SPDY/3.1"}, "Connection": {"upgrade"}}} {
		tunnel := <-s.kas.tunnels
		tunnel.request(t, headOf("GET", "/", header, length(0)))
		got := tunnel.rest(t)
		want := []string{"header", "http header", "http data", "trailer", "error"}
		if diff := cmp.Diff(want, got.Kinds); diff != "" || got.Code != codes.Unavailable || got.Body != "half" {
			t.Errorf("%v %s %q: %s", got.Code, got.Message, got.Body, diff)
		}
	}
}

// A cluster whose certificate nobody vouches for gets no request by either way.
func TestUntrustedCluster(t *testing.T) {
	t.Parallel()
	s := serveCluster(t, func(http.ResponseWriter, *http.Request) {
		t.Error("the request reached the cluster")
	}, func(o *Options) { o.Cluster.CAData = nil })
	for _, header := range []http.Header{nil, {"Upgrade": {"SPDY/3.1"}, "Connection": {"upgrade"}}} {
		tunnel := <-s.kas.tunnels
		tunnel.request(t, headOf("GET", "/", header, length(0)))
		if got := tunnel.rest(t); got.Code != codes.Unavailable || !strings.Contains(got.Message, "certificate") {
			t.Errorf("%v %s", got.Code, got.Message)
		}
	}
}
