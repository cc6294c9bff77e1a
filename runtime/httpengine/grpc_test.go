package httpengine_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"kasgen/runtime/httpengine"
)

// upstreamServer is a real gRPC server: Echo answers with what it is told, Chat
// echoes each message, Fail answers with an error at once, Silent says nothing,
// and tells ended how the stream ended.
type upstreamServer struct {
	began, ended chan error
}

type service interface{}

func (s *upstreamServer) start(t testing.TB, o ...grpc.ServerOption) string {
	t.Helper()
	s.began, s.ended = make(chan error, 16), make(chan error, 16)
	server := grpc.NewServer(o...)
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "lab.Echo", HandlerType: (*service)(nil),
		Methods: []grpc.MethodDesc{
			{MethodName: "Echo", Handler: func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				m := new(wrapperspb.BytesValue)
				if err := dec(m); err != nil {
					return nil, err
				}
				md, _ := metadata.FromIncomingContext(ctx)
				err := errors.Join(grpc.SetHeader(ctx, metadata.Pairs("x-head", "1")), grpc.SetTrailer(ctx, metadata.Pairs("x-tail", strings.Join(md["x-ask"], ","))))
				return m, err
			}},
			{MethodName: "Fail", Handler: func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) {
				return nil, status.Error(codes.PermissionDenied, "never: 100 %")
			}},
		},
		Streams: []grpc.StreamDesc{
			{StreamName: "Chat", ServerStreams: true, ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
				for {
					m := new(wrapperspb.BytesValue)
					if err := stream.RecvMsg(m); err != nil {
						s.ended <- err
						if errors.Is(err, io.EOF) {
							return nil
						}
						return err
					}
					if err := stream.SendMsg(m); err != nil {
						return err
					}
				}
			}},
			{StreamName: "Silent", ServerStreams: true, ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
				if err := stream.SendHeader(nil); err != nil {
					return err
				}
				s.began <- nil
				<-stream.Context().Done()
				s.ended <- stream.Context().Err()
				return stream.Context().Err()
			}},
			{StreamName: "Mute", ServerStreams: true, ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
				s.began <- nil
				<-stream.Context().Done()
				s.ended <- stream.Context().Err()
				return stream.Context().Err()
			}},
		},
	}, s)
	ln := listen(t)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(ln) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return ln.Addr().String()
}

func grpcClient(t testing.TB, address string, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	if creds == nil {
		creds = insecure.NewCredentials()
	}
	c, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

var chatDesc = &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// variants are the ways a gRPC stream may go through the engine.
func variants(t *testing.T, o func(*httpengine.Upstream), run func(t *testing.T, up *upstreamServer, c *grpc.ClientConn)) {
	serverTLS, roots := certificate(t, "h2")
	for name, v := range map[string]struct{ clientTLS, upstreamTLS, share bool }{
		"cleartext": {}, "tls": {clientTLS: true, upstreamTLS: true}, "shared": {share: true, clientTLS: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := &upstreamServer{}
			var opts []grpc.ServerOption
			if v.upstreamTLS {
				opts = append(opts, grpc.Creds(credentials.NewTLS(serverTLS.Clone())))
			}
			u := to(up.start(t, opts...))
			u.Share = v.share
			if v.upstreamTLS {
				u.TLS = &tls.Config{RootCAs: roots, ServerName: "kas.example.com"}
			}
			if o != nil {
				o(u)
			}
			t.Cleanup(u.Close)
			so := both()
			var creds credentials.TransportCredentials
			if v.clientTLS {
				so.TLS = serverTLS
				creds = credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: "kas.example.com"})
			}
			_, address := serve(t, grpcTo(u, httpengine.GRPCOptions{}), so)
			run(t, up, grpcClient(t, address, creds))
		})
	}
}

func TestGRPCUnary(t *testing.T) {
	t.Parallel()
	variants(t, nil, func(t *testing.T, _ *upstreamServer, c *grpc.ClientConn) {
		ctx := metadata.AppendToOutgoingContext(within(t, 20*time.Second), "x-ask", "me")
		var head, tail metadata.MD
		got := new(wrapperspb.BytesValue)
		if err := c.Invoke(ctx, "/lab.Echo/Echo", wrapperspb.Bytes([]byte("hello")), got, grpc.Header(&head), grpc.Trailer(&tail)); err != nil {
			t.Fatal(err)
		}
		if string(got.Value) != "hello" || head.Get("x-head")[0] != "1" || tail.Get("x-tail")[0] != "me" {
			t.Errorf("got %q, head %v, trailer %v", got.Value, head, tail)
		}
		err := c.Invoke(ctx, "/lab.Echo/Fail", wrapperspb.Bytes(nil), got)
		if s := status.Convert(err); s.Code() != codes.PermissionDenied || s.Message() != "never: 100 %" {
			t.Errorf("an answer that is trailers only: %v", err)
		}
	})
}

func TestGRPCStream(t *testing.T) {
	t.Parallel()
	variants(t, nil, func(t *testing.T, up *upstreamServer, c *grpc.ClientConn) {
		stream, err := c.NewStream(within(t, 30*time.Second), chatDesc, "/lab.Echo/Chat")
		if err != nil {
			t.Fatal(err)
		}
		m := wrapperspb.Bytes(make([]byte, 64<<10))
		got := new(wrapperspb.BytesValue)
		for i := range 160 { // 10 MiB, each message answered before the next
			m.Value[0] = byte(i)
			if err := stream.SendMsg(m); err != nil {
				t.Fatal(err)
			}
			if err := stream.RecvMsg(got); err != nil {
				t.Fatal(err)
			}
			if len(got.Value) != len(m.Value) || got.Value[0] != byte(i) {
				t.Fatalf("message %d came back changed", i)
			}
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(got); !errors.Is(err, io.EOF) {
			t.Errorf("the end: %v", err)
		}
		if err := <-up.ended; !errors.Is(err, io.EOF) {
			t.Errorf("the upstream saw %v", err)
		}
	})
}

func TestGRPCCancel(t *testing.T) {
	t.Parallel()
	variants(t, nil, func(t *testing.T, up *upstreamServer, c *grpc.ClientConn) {
		for _, method := range []string{"/lab.Echo/Silent", "/lab.Echo/Mute"} {
			ctx, cancel := context.WithCancel(within(t, 20*time.Second))
			stream, err := c.NewStream(ctx, chatDesc, method)
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.SendMsg(wrapperspb.Bytes([]byte("x"))); err != nil {
				t.Fatal(err)
			}
			<-up.began
			cancel()
			if err := stream.RecvMsg(new(wrapperspb.BytesValue)); status.Code(err) != codes.Canceled {
				t.Errorf("%s: %v", method, err)
			}
			if err := <-up.ended; !errors.Is(err, context.Canceled) {
				t.Errorf("%s: the upstream saw %v", method, err)
			}
		}
	})
}

func TestGRPCRefused(t *testing.T) {
	t.Parallel()
	ln := listen(t)
	ln.Close()
	_, address := serve(t, grpcTo(to(ln.Addr().String()), httpengine.GRPCOptions{}), both())
	resp := get(t, address, "/x")
	if resp.StatusCode != http.StatusBadGateway {
		t.Errorf("got %s", resp.Status)
	}
}

// get asks over HTTP/1.1 and reads the whole answer.
func get(t testing.TB, address, path string) *http.Response {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}}}
	resp, err := c.Get("http://kas.example.com" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body = io.NopCloser(strings.NewReader(string(b)))
	return resp
}
