package agents

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // agents compress every call; without it each would fail as Unimplemented
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"

	"kasgen/internal/kasrpc/tunnel"
	"kasgen/runtime/kas/cutthrough"
	"kasgen/runtime/kas/wire"
)

// NewServer is a gRPC server for agents. It takes connections whose TLS has
// been ended already; m is max_connection_age.
func NewServer(m time.Duration) *grpc.Server { return newServer(m, IdleConnection) }

// IdleConnection is how long a connection without any call is kept. An agent
// that runs holds two calls open at the least, and one whose calls fail waits
// five minutes at the most before it tries again.
const IdleConnection = 6 * time.Minute

func newServer(m, idle time.Duration) *grpc.Server {
	pool := newBuffers()
	return grpc.NewServer(
		grpc.Creds(connCredentials{&cutthrough.Options{Pool: pool, StreamWindow: streamWindow, ConnWindow: connWindow, MaxMessage: maxMessage}}),
		grpc.ForceServerCodecV2(wire.NewCodec()),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle:     idle,
			MaxConnectionAge:      m / 5,
			MaxConnectionAgeGrace: m * 65 / 100,
			// Balancers and nginx cut what is silent for 60 s.
			Time: 50 * time.Second,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			// Agents ping each 55 s, also when no call is open.
			MinTime:             20 * time.Second,
			PermitWithoutStream: true,
		}),
		// From the preface to the client's settings.
		grpc.ConnectionTimeout(handshakeLimit),
		// Thousands of agents are idle at a time, and a buffer of 32 KiB would
		// be half of what one costs. What reads ahead lies below, see package
		// cutthrough.
		// As large as the window that gRPC would come to by itself, but from
		// the start: growing it takes a ping for each round trip, and updates
		// for every 16 KiB until then.
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
		grpc.ReadBufferSize(0),
		grpc.MaxRecvMsgSize(maxMessage),
		experimental.BufferPool(pool),
		grpc.InTapHandle(follow),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if err := Uncompressed(ctx); err != nil {
				return nil, err
			}
			return next(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if err := Uncompressed(s.Context()); err != nil {
				return err
			}
			if !info.IsClientStream {
				s = receivingApart{s}
			}
			return next(srv, s)
		}),
	)
}

// handshakeLimit is that of the listener for TLS.
const handshakeLimit = 10 * time.Second

// streamWindow is how many bytes an agent may send ahead of a slow client, for
// each stream.
const streamWindow = 1 << 20

// connWindow is how many bytes may be on their way from an agent.
const connWindow = 4 * streamWindow

// maxMessage is gRPC's own limit.
const maxMessage = 4 << 20

// follow lets a tunnel bypass gRPC later on. It is called in the goroutine that
// reads the connection.
func follow(ctx context.Context, info *tap.Info) (context.Context, error) {
	if info.FullMethodName != tunnel.ReverseTunnel_Connect_FullMethodName {
		return ctx, nil
	}
	if p, ok := peer.FromContext(ctx); ok {
		if c, ok := p.AuthInfo.(ConnInfo); ok && c.conn != nil {
			return c.conn.Follow(ctx), nil
		}
	}
	return ctx, nil
}

// ConnInfo is what is known of an agent's connection.
type ConnInfo struct {
	credentials.CommonAuthInfo
	Since time.Time
	conn  *cutthrough.Conn
}

// AuthType implements credentials.AuthInfo.
func (ConnInfo) AuthType() string { return "kasgen" }

// connCredentials takes connections as they are: TLS, if any, is over.
type connCredentials struct{ cutthrough *cutthrough.Options }

func (o connCredentials) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	info := ConnInfo{Since: time.Now(), conn: cutthrough.New(c, o.cutthrough)}
	info.SecurityLevel = credentials.NoSecurity
	if tlsOf(c) {
		info.SecurityLevel = credentials.PrivacyAndIntegrity
	}
	return info.conn, info, nil
}

// tlsOf says whether there is a TLS connection below wrappers.
func tlsOf(c net.Conn) bool {
	for {
		switch v := c.(type) {
		case *tls.Conn:
			return true
		case interface{ NetConn() net.Conn }:
			c = v.NetConn()
		default:
			return false
		}
	}
}

func (connCredentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, net.ErrClosed // a server's credentials
}

func (connCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "kasgen"}
}
func (c connCredentials) Clone() credentials.TransportCredentials { return c }
func (connCredentials) OverrideServerName(string) error           { return nil }
