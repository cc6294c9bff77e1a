package bench

import (
	"io"
	"net"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // and so it compresses its answers
	"google.golang.org/protobuf/proto"

	"kasgen/internal/kasrpc/grpctool"
	"kasgen/internal/kasrpc/kubeapi"
	"kasgen/internal/kasrpc/prototool"
	"kasgen/internal/kasrpc/tunnel"
)

// reference forwards upgraded streams as GitLab's kas does: chunks of 32 KiB,
// protobuf marshalled twice, gzip in both directions. It serves nothing else.
type reference struct {
	tunnel.UnimplementedReverseTunnelServer
	idle chan *taken
}

type taken struct {
	stream tunnel.ReverseTunnel_ConnectServer
	done   chan struct{}
}

func startReference() ([]string, error) {
	agents, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	api, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &reference{idle: make(chan *taken)}
	s := grpc.NewServer()
	tunnel.RegisterReverseTunnelServer(s, r)
	go s.Serve(agents)
	go http.Serve(api, r)
	return []string{agents.Addr().String(), api.Addr().String()}, nil
}

func (r *reference) Connect(s tunnel.ReverseTunnel_ConnectServer) error {
	if _, err := s.Recv(); err != nil { // the descriptor
		return err
	}
	t := &taken{stream: s, done: make(chan struct{})}
	select {
	case r.idle <- t:
		<-t.done
		return nil
	case <-s.Context().Done():
		return s.Context().Err()
	}
}

const referenceChunk = 32 << 10

func (r *reference) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	t := <-r.idle
	defer close(t.done)
	send := func(h *grpctool.HttpRequest) error {
		data, err := proto.Marshal(h)
		if err != nil {
			return err
		}
		return t.stream.Send(&tunnel.ConnectResponse{Msg: &tunnel.ConnectResponse_Message{Message: &tunnel.Message{Data: data}}})
	}
	header := map[string]*prototool.Values{}
	for k, v := range req.Header {
		header[k] = &prototool.Values{Value: v}
	}
	zero := int64(0)
	t.stream.Send(&tunnel.ConnectResponse{Msg: &tunnel.ConnectResponse_RequestInfo{RequestInfo: &tunnel.RequestInfo{MethodName: kubeapi.KubernetesApi_MakeRequest_FullMethodName}}})
	send(&grpctool.HttpRequest{Message: &grpctool.HttpRequest_Header_{Header: &grpctool.HttpRequest_Header{ContentLength: &zero,
		Request: &prototool.HttpRequest{Method: req.Method, UrlPath: strings.TrimPrefix(req.URL.Path, "/k8s-proxy"), Header: header}}}})
	send(&grpctool.HttpRequest{Message: &grpctool.HttpRequest_Trailer_{Trailer: &grpctool.HttpRequest_Trailer{}}})
	conn, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	go func() {
		buf := make([]byte, referenceChunk)
		for {
			n, err := buffered.Read(buf)
			if n > 0 {
				send(&grpctool.HttpRequest{Message: &grpctool.HttpRequest_UpgradeData_{UpgradeData: &grpctool.HttpRequest_UpgradeData{Data: buf[:n]}}})
			}
			if err != nil {
				return
			}
		}
	}()
	for {
		m, err := t.stream.Recv()
		if err != nil {
			return
		}
		data := m.GetMessage().GetData()
		if data == nil {
			continue // the tunnel's own header and trailer
		}
		var h grpctool.HttpResponse
		if err := proto.Unmarshal(data, &h); err != nil {
			return
		}
		switch v := h.Message.(type) {
		case *grpctool.HttpResponse_Header_:
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n")
		case *grpctool.HttpResponse_UpgradeData_:
			if _, err := conn.Write(v.UpgradeData.GetData()); err != nil {
				return
			}
		}
	}
}
