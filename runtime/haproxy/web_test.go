package haproxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"kasgen/runtime/balancer/balancertest"
)

const webHead = `defaults
    mode http
    timeout connect 1s
    timeout client 20s
    timeout server 20s
    timeout http-request 10s
`

type anyService interface{}

// grpcServer echoes in Chat, answers with trailers in Echo, fails at once in
// Fail, and says nothing in Mute, or after the head in Silent.
func grpcServer(t testing.TB) string {
	t.Helper()
	server := grpc.NewServer()
	unary := func(name string, f func(ctx context.Context, m *wrapperspb.BytesValue) (any, error)) grpc.MethodDesc {
		return grpc.MethodDesc{MethodName: name, Handler: func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			m := new(wrapperspb.BytesValue)
			if err := dec(m); err != nil {
				return nil, err
			}
			return f(ctx, m)
		}}
	}
	stream := func(name string, f grpc.StreamHandler) grpc.StreamDesc {
		return grpc.StreamDesc{StreamName: name, ServerStreams: true, ClientStreams: true, Handler: f}
	}
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "lab.Echo", HandlerType: (*anyService)(nil),
		Methods: []grpc.MethodDesc{
			unary("Echo", func(ctx context.Context, m *wrapperspb.BytesValue) (any, error) {
				md, _ := metadata.FromIncomingContext(ctx)
				return m, grpc.SetTrailer(ctx, metadata.Pairs("x-tail", strings.Join(append(md["x-added"], md["x-forwarded-for"]...), ",")))
			}),
			unary("Fail", func(context.Context, *wrapperspb.BytesValue) (any, error) {
				return nil, status.Error(codes.PermissionDenied, "never")
			}),
		},
		Streams: []grpc.StreamDesc{
			stream("Chat", func(_ any, s grpc.ServerStream) error {
				for {
					m := new(wrapperspb.BytesValue)
					if err := s.RecvMsg(m); errors.Is(err, io.EOF) {
						return nil
					} else if err != nil {
						return err
					}
					if err := s.SendMsg(m); err != nil {
						return err
					}
				}
			}),
			stream("Silent", func(_ any, s grpc.ServerStream) error {
				if err := s.SendHeader(nil); err != nil {
					return err
				}
				<-s.Context().Done()
				return nil
			}),
			stream("Mute", func(_ any, s grpc.ServerStream) error { <-s.Context().Done(); return nil }),
		},
	}, new(struct{}))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(ln) }()
	t.Cleanup(func() { server.Stop(); <-done })
	return ln.Addr().String()
}

// httpServer tells over HTTP/1.1 or HTTP/2 what it was asked. The path says
// what it does instead.
func httpServer(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/silent" {
			<-r.Context().Done()
			return
		}
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Gone", "1")
		w.Header().Set("X-Proto", r.Proto)
		fmt.Fprintf(w, "%s %s %s %q %q %s", r.Method, r.RequestURI, r.Host, r.Header.Get("X-Added"), r.Header.Values("X-Forwarded-For"), b)
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return ln.Addr().String()
}

// lab is what the files of these tests name.
type lab struct {
	pages map[string]string
	creds credentials.TransportCredentials
	tls   *tls.Config
}

func newLab(t *testing.T) *lab {
	pem, roots := balancertest.CombinedPEM(t)
	conf := &tls.Config{RootCAs: roots, ServerName: "kas.example.com"}
	return &lab{
		pages: map[string]string{
			"@GRPC": grpcServer(t), "@HTTP": httpServer(t), "@DEAD": balancertest.FreePort(t), "@PEM": pem,
			"@GARBAGE": balancertest.Answering(t, "garbage", false),
		},
		creds: credentials.NewTLS(conf), tls: conf,
	}
}

// run runs a file on an engine and returns where BIND listens.
func (l *lab) run(t *testing.T, start func(testing.TB, string) func(string) string, text string) string {
	bind := balancertest.FreePort(t)
	text = strings.ReplaceAll(text, "BIND", bind)
	for k, v := range l.pages {
		text = strings.ReplaceAll(text, k, v)
	}
	return start(t, text)(bind)
}

func bothEngines(t *testing.T, run func(t *testing.T, start func(testing.TB, string) func(string) string)) {
	for name, start := range map[string]func(testing.TB, string) func(string) string{"embedded": embedded, "haproxy": native} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, start)
		})
	}
}

func grpcConn(t *testing.T, address string, creds credentials.TransportCredentials, header *proxyproto.Header) *grpc.ClientConn {
	t.Helper()
	if creds == nil {
		creds = insecure.NewCredentials()
	}
	c, err := grpc.NewClient("passthrough:///kas.example.com", grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			if err == nil && header != nil {
				_, err = header.WriteTo(c)
			}
			return c, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	t.Cleanup(cancel)
	return ctx
}

var chat = &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}

// TestWebGRPC carries gRPC through every kind of bind and server.
func TestWebGRPC(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	bothEngines(t, func(t *testing.T, start func(testing.TB, string) func(string) string) {
		source := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 7}
		for name, tt := range map[string]struct {
			bind  string
			creds credentials.TransportCredentials
			proxy *proxyproto.Header
			from  string
		}{
			"alpn h2":            {bind: "ssl crt @PEM alpn h2", creds: l.creds, from: "127.0.0.1"},
			"alpn h2,http/1.1":   {bind: "ssl crt @PEM alpn h2,http/1.1", creds: l.creds, from: "127.0.0.1"},
			"proto h2":           {bind: "proto h2", from: "127.0.0.1"},
			"by preface":         {bind: "", from: "127.0.0.1"},
			"PROXY v2":           {bind: "accept-proxy ssl crt @PEM alpn h2", creds: l.creds, proxy: proxyproto.HeaderProxyFromAddrs(2, source, source), from: "192.0.2.7"},
			"PROXY v1, proto h2": {bind: "accept-proxy proto h2", proxy: proxyproto.HeaderProxyFromAddrs(1, source, source), from: "192.0.2.7"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				address := l.run(t, start, webHead+`frontend f
    bind BIND `+tt.bind+`
    option forwardfor
    http-request deny deny_status 404 unless { path_beg /lab. }
    http-request set-header X-Added %[src]!
    default_backend k
backend k
    server s @GRPC proto h2
`)
				c := grpcConn(t, address, tt.creds, tt.proxy)
				got := new(wrapperspb.BytesValue)
				var tail metadata.MD
				if err := c.Invoke(soon(t), "/lab.Echo/Echo", wrapperspb.Bytes([]byte("hello")), got, grpc.Trailer(&tail)); err != nil {
					t.Fatal(err)
				}
				if want := tt.from + "!," + tt.from; string(got.Value) != "hello" || strings.Join(tail["x-tail"], ";") != want {
					t.Errorf("got %q, trailer %v, want %s", got.Value, tail, want)
				}
				if err := c.Invoke(soon(t), "/lab.Echo/Fail", got, got); status.Code(err) != codes.PermissionDenied {
					t.Errorf("trailers only: %v", err)
				}
				if err := c.Invoke(soon(t), "/other.Echo/Echo", got, got); status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "404") {
					t.Errorf("denied: %v", err)
				}
				stream, err := c.NewStream(soon(t), chat, "/lab.Echo/Chat")
				if err != nil {
					t.Fatal(err)
				}
				m := wrapperspb.Bytes(make([]byte, 64<<10))
				for range 32 {
					if err := errors.Join(stream.SendMsg(m), stream.RecvMsg(got)); err != nil || len(got.Value) != len(m.Value) {
						t.Fatalf("%d bytes, %v", len(got.Value), err)
					}
				}
				if err := stream.CloseSend(); err != nil {
					t.Fatal(err)
				}
				if err := stream.RecvMsg(got); !errors.Is(err, io.EOF) {
					t.Errorf("the end: %v", err)
				}
			})
		}
	})
}

// TestWebGRPCFaults is what becomes of streams that go wrong.
func TestWebGRPCFaults(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	const k = "frontend f\n bind BIND proto h2\n default_backend k\nbackend k\n"
	tests := map[string]struct {
		conf, method string
		want         []codes.Code
		text         string
	}{
		"dead":                   {k + " server s @DEAD proto h2\n", "Chat", []codes.Code{codes.Unavailable}, "503"},
		"no server":              {k + " server s @GRPC proto h2 disabled\n", "Chat", []codes.Code{codes.Unavailable}, "503"},
		"no backend":             {"frontend f\n bind BIND proto h2\n", "Chat", []codes.Code{codes.Unavailable}, "503"},
		"garbage":                {k + " server s @GARBAGE proto h2\n", "Chat", []codes.Code{codes.Unavailable}, "503"},
		"redispatch":             {k + " retries 2\n option redispatch 1\n server d @DEAD proto h2\n server s @GRPC proto h2\n", "Fail", []codes.Code{codes.PermissionDenied}, ""},
		"timeout server, mute":   {k + " timeout server 300ms\n server s @GRPC proto h2\n", "Mute", []codes.Code{codes.Unavailable}, "504"},
		"timeout server, silent": {k + " timeout server 300ms\n server s @GRPC proto h2\n", "Silent", []codes.Code{codes.Internal, codes.Canceled, codes.Unavailable}, ""},
		// HAProxy waits as long as the server may.
		"timeout client, mute":         {"frontend f\n bind BIND proto h2\n timeout client 200ms\n default_backend k\nbackend k\n server s @GRPC proto h2\n", "Mute", []codes.Code{codes.Canceled}, "context canceled"},
		"timeout client, silent":       {"frontend f\n bind BIND proto h2\n timeout client 200ms\n default_backend k\nbackend k\n server s @GRPC proto h2\n", "Silent", []codes.Code{codes.Canceled}, "context canceled"},
		"deny 403":                     {"frontend f\n bind BIND proto h2\n http-request deny if { path /lab.Echo/Chat } { method POST }\n default_backend k\nbackend k\n server s @GRPC proto h2\n", "Chat", []codes.Code{codes.PermissionDenied}, "403"},
		"backend denies":               {k + " http-request deny deny_status 429 if { hdr_beg(content-type) application/grpc }\n server s @GRPC proto h2\n", "Chat", []codes.Code{codes.Unavailable}, "429"},
		"allow comes first":            {"frontend f\n bind BIND proto h2\n http-request allow if { path_beg /lab. }\n http-request deny\n default_backend k\nbackend k\n server s @GRPC proto h2\n", "Fail", []codes.Code{codes.PermissionDenied}, "never"},
		"use_backend by path and host": {"frontend f\n bind BIND proto h2\n use_backend k if { path_beg /lab. } { hdr(host) -i KAS.example.com }\nbackend k\n server s @GRPC proto h2\n", "Fail", []codes.Code{codes.PermissionDenied}, "never"},
		"use_backend does not match":   {"frontend f\n bind BIND proto h2\n use_backend k if { path_beg /Lab. }\nbackend k\n server s @GRPC proto h2\n", "Fail", []codes.Code{codes.Unavailable}, "503"},
		"a server of HTTP/1.1":         {k + " server s @HTTP\n", "Fail", []codes.Code{codes.Unknown}, "octet-stream"},
	}
	bothEngines(t, func(t *testing.T, start func(testing.TB, string) func(string) string) {
		for name, tt := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c := grpcConn(t, l.run(t, start, webHead+tt.conf), nil, nil)
				ctx := soon(t)
				if tt.text == "context canceled" {
					// Whoever is still there then gives up. A deadline would be told
					// to the server, which would answer at the same moment.
					var cancel context.CancelFunc
					ctx, cancel = context.WithCancel(ctx)
					defer time.AfterFunc(time.Second, cancel).Stop()
				}
				stream, err := c.NewStream(ctx, chat, "/lab.Echo/"+tt.method)
				if err != nil {
					t.Fatal(err)
				}
				if tt.method == "Fail" {
					err = errors.Join(stream.SendMsg(wrapperspb.Bytes(nil)), stream.CloseSend())
				} else {
					err = stream.SendMsg(wrapperspb.Bytes([]byte("x")))
				}
				if err != nil && !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				err = stream.RecvMsg(new(wrapperspb.BytesValue))
				t.Log(err)
				found := false
				for _, code := range tt.want {
					found = found || status.Code(err) == code
				}
				if !found || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("got %v, want %v %s", err, tt.want, tt.text)
				}
			})
		}
	})
}
