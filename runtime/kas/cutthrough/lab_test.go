package cutthrough

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	streamWindow = 1 << 20
	connWindow   = 4 * streamWindow
	maxMessage   = 4 << 20
	method       = "/test.Bytes/Flow"
)

// newOptions has a pool that clears nothing, so that what is lent twice shows.
func newOptions() *Options {
	return &Options{Pool: mem.DefaultBufferPool(), StreamWindow: streamWindow, ConnWindow: connWindow, MaxMessage: maxMessage}
}

// bytesCodec sends and receives []byte.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "bytes" }

func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

var _ encoding.CodecV2 = bytesCodec{}

// creds wrap connections as a server does that follows streams. hide takes the
// socket out of sight, as TLS and WebSocket do.
type creds struct {
	credentials.TransportCredentials
	o    *Options
	hide bool
	tls  *tls.Config
}

type connInfo struct {
	credentials.CommonAuthInfo
	conn *Conn
}

func (connInfo) AuthType() string { return "test" }

func (c creds) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	switch {
	case c.tls != nil:
		raw = tls.Server(raw, c.tls)
	case c.hide:
		raw = hidden{raw}
	}
	conn := New(raw, c.o)
	return conn, connInfo{conn: conn}, nil
}

func (c creds) Clone() credentials.TransportCredentials { return c }

type hidden struct{ net.Conn }

func follow(ctx context.Context, _ *tap.Info) (context.Context, error) {
	p, _ := peer.FromContext(ctx)
	return p.AuthInfo.(connInfo).conn.Follow(ctx), nil
}

// serve starts a server with one method, of any name.
func serve(t testing.TB, c creds, handle func(*receiver) error) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.TransportCredentials = insecure.NewCredentials()
	if c.o == nil {
		c.o = newOptions()
	}
	s := grpc.NewServer(grpc.Creds(c), grpc.ForceServerCodecV2(bytesCodec{}), grpc.InTapHandle(follow),
		grpc.InitialWindowSize(streamWindow), grpc.InitialConnWindowSize(connWindow), grpc.ReadBufferSize(0),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			return handle(&receiver{ServerStream: stream, cut: FromContext(stream.Context())})
		}))
	var work sync.WaitGroup
	work.Go(func() { _ = s.Serve(ln) })
	t.Cleanup(func() { s.Stop(); work.Wait() })
	return ln.Addr().String()
}

func dial(t testing.TB, addr string, o ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	o = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(bytesCodec{}), grpc.MaxCallRecvMsgSize(16<<20))}, o...)
	conn, err := grpc.NewClient("passthrough:///"+addr, o...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func open(t testing.TB, conn *grpc.ClientConn, o ...grpc.CallOption) (grpc.ClientStream, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method, o...)
	if err != nil {
		t.Fatal(err)
	}
	return s, cancel
}

// receiver receives by gRPC until it diverts.
type receiver struct {
	grpc.ServerStream
	cut      *Stream
	received uint64
	first    uint64
	diverted bool
}

func (r *receiver) divert(h Handler) error {
	first, ok := r.cut.Divert(h)
	if ok && first < r.received {
		return fmt.Errorf("%d messages are to come by gRPC, and %d have", first, r.received)
	}
	r.first, r.diverted = first, ok
	return nil
}

func (r *receiver) next() ([]byte, error) {
	if r.diverted && r.received == r.first {
		m, err := r.cut.Next(r.Context())
		if err != nil {
			return nil, err
		}
		defer m.Free()
		return append([]byte{}, m.ReadOnlyData()...), nil
	}
	var p []byte
	err := r.RecvMsg(&p)
	if err == nil {
		r.received++
	}
	return p, err
}

// drain receives until the end.
func (r *receiver) drain() (n int, err error) {
	for {
		p, err := r.next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		n += len(p)
	}
}
