package runtime

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"kasgen/internal/kasrpc/grpctool"
	"kasgen/internal/kasrpc/kubeapi"
	"kasgen/internal/kasrpc/prototool"
	"kasgen/internal/kasrpc/tunnel"
)

// answer is what elsewhere's servers do with a connection.
func answer(c net.Conn, name string) {
	r := bufio.NewReader(c)
	first, err := r.ReadString('\n')
	if err != nil {
		return
	}
	if strings.HasPrefix(first, "GET ") {
		for line := first; line != "\r\n"; {
			if line, err = r.ReadString('\n'); err != nil {
				return
			}
		}
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	} else {
		fmt.Fprintf(c, "%s %s", name, first)
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		fmt.Fprintf(c, "%s %s", name, line)
	}
}

// stream is a connection on which each line gets an answer.
type stream struct {
	t    testing.TB
	what string
	c    net.Conn
	r    *bufio.Reader
	want string // what answers begin with
}

// say sends a line and expects its answer.
func (s *stream) say(line string) {
	s.t.Helper()
	if err := s.c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	fmt.Fprintf(s.c, "%s\n", line)
	got, err := s.r.ReadString('\n')
	if err != nil || got != s.want+line+"\n" {
		s.t.Errorf("%s: said %q and got %q, %v", s.what, line, got, err)
	}
}

// bare opens a connection through the TCP balancer.
func (w *world) bare(address, server string) *stream {
	w.t.Helper()
	c, err := net.Dial("tcp", w.at(address))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	s := &stream{t: w.t, what: "bare TCP", c: c, r: bufio.NewReader(c), want: server + " "}
	s.say("hello")
	return s
}

// upgraded opens an upgraded stream through front and edge.
func (w *world) upgraded(path, want string) *stream {
	w.t.Helper()
	var c net.Conn
	var err error
	if rest, nginx := strings.CutPrefix(path, "nginx:"); nginx {
		path = rest
		c, err = net.Dial("tcp", w.at("127.0.0.1:80"))
	} else {
		c, err = tls.Dial("tcp", w.at("127.0.0.1:443"), &tls.Config{RootCAs: w.roots, ServerName: "kas.example.com"})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: kas.example.com\r\nAuthorization: Bearer ci:%d:%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", path, agentID, jobToken)
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		w.t.Fatalf("%s answers %s", path, resp.Status)
	}
	s := &stream{t: w.t, what: "upgraded " + path, c: c, r: r, want: want}
	s.say("hello")
	return s
}

// agent is one that holds idle tunnels and answers requests, through the front.
type agent struct {
	dials  atomic.Int32
	served atomic.Int32
}

// agent connects one with n tunnels and returns when one of them has carried a
// request.
func (w *world) agent(n int) *agent {
	w.t.Helper()
	return w.agentAt("127.0.0.1:443", credentials.NewTLS(&tls.Config{RootCAs: w.roots, ServerName: "kas.example.com"}), n)
}

func (w *world) agentAt(address string, c credentials.TransportCredentials, n int) *agent {
	w.t.Helper()
	a := new(agent)
	conn, err := grpc.NewClient("passthrough:///kas.example.com", grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)),
		grpc.WithTransportCredentials(c),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			a.dials.Add(1)
			var d net.Dialer
			return d.DialContext(ctx, "tcp", w.at(address))
		}))
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+agentToken))
	done := make(chan struct{}, n)
	for range n {
		go func() {
			defer func() { done <- struct{}{} }()
			for ctx.Err() == nil {
				if err := a.tunnel(ctx, conn); err == nil {
					a.served.Add(1)
				}
			}
		}()
	}
	w.t.Cleanup(func() {
		cancel()
		conn.Close()
		for range n {
			<-done
		}
	})
	w.mustGet("/k8s-proxy/x", http.StatusOK, "pong")
	return a
}

var errEnded = errors.New("the tunnel was not used")

// tunnel holds one tunnel until it has carried a request.
func (a *agent) tunnel(ctx context.Context, conn *grpc.ClientConn) error {
	s, err := tunnel.NewReverseTunnelClient(conn).Connect(ctx, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	service, method, _ := strings.Cut(strings.TrimPrefix(kubeapi.KubernetesApi_MakeRequest_FullMethodName, "/"), "/")
	_ = s.Send(&tunnel.ConnectRequest{Msg: &tunnel.ConnectRequest_Descriptor_{Descriptor_: &tunnel.Descriptor{
		AgentDescriptor: &tunnel.AgentDescriptor{Services: []*tunnel.Service{{Name: service, Methods: []*tunnel.Method{{Name: method}}}}}}}})
	if _, err := s.Recv(); err != nil {
		return errEnded
	}
	head, err := request(s)
	if err != nil {
		return err
	}
	upgrade := head.GetHeader().GetRequest().GetHeader()["Upgrade"].GetValue()
	code, headers := int32(http.StatusOK), map[string]*prototool.Values{}
	if len(upgrade) > 0 {
		code = http.StatusSwitchingProtocols
		headers["Upgrade"], headers["Connection"] = &prototool.Values{Value: upgrade}, &prototool.Values{Value: []string{"Upgrade"}}
	}
	_ = s.Send(&tunnel.ConnectRequest{Msg: &tunnel.ConnectRequest_Header{Header: &tunnel.Header{}}})
	respond(s, &grpctool.HttpResponse{Message: &grpctool.HttpResponse_Header_{Header: &grpctool.HttpResponse_Header{
		Response: &prototool.HttpResponse{StatusCode: code, Header: headers}}}})
	if len(upgrade) == 0 {
		respond(s, &grpctool.HttpResponse{Message: &grpctool.HttpResponse_Data_{Data: &grpctool.HttpResponse_Data{Data: []byte("pong")}}})
	}
	respond(s, &grpctool.HttpResponse{Message: &grpctool.HttpResponse_Trailer_{Trailer: &grpctool.HttpResponse_Trailer{}}})
	for len(upgrade) > 0 {
		m, err := request(s)
		if err != nil {
			break
		}
		if d := m.GetUpgradeData().GetData(); len(d) > 0 {
			respond(s, &grpctool.HttpResponse{Message: &grpctool.HttpResponse_UpgradeData_{UpgradeData: &grpctool.HttpResponse_UpgradeData{Data: d}}})
		}
	}
	_ = s.Send(&tunnel.ConnectRequest{Msg: &tunnel.ConnectRequest_Trailer{Trailer: &tunnel.Trailer{}}})
	_ = s.CloseSend()
	for err == nil {
		_, err = s.Recv()
	}
	return nil
}

func respond(s tunnel.ReverseTunnel_ConnectClient, m *grpctool.HttpResponse) {
	data, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	_ = s.Send(&tunnel.ConnectRequest{Msg: &tunnel.ConnectRequest_Message{Message: &tunnel.Message{Data: data}}})
}

// request is the next message of a request; io.EOF after its last.
func request(s tunnel.ReverseTunnel_ConnectClient) (*grpctool.HttpRequest, error) {
	m, err := s.Recv()
	if err != nil {
		return nil, err
	}
	if m.GetCloseSend() != nil {
		return nil, io.EOF
	}
	var h grpctool.HttpRequest
	return &h, proto.Unmarshal(m.GetMessage().GetData(), &h)
}
