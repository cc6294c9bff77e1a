package kas

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"

	"kasgen/internal/kasrpc/tunnel"
)

// Streams of one agent bypass gRPC on whatever its connection and the clients'
// lie: a client that does not read holds up no other, and in the end has all.
func TestSlowClientHoldsUpNobody(t *testing.T) {
	t.Parallel()
	gitlab := httptest.NewServer(gitlabHandler("null"))
	t.Cleanup(gitlab.Close)
	cert, key, roots := certificate(t)
	secure := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	plain := grpc.WithTransportCredentials(insecure.NewCredentials())
	for name, tt := range map[string]struct {
		agents, api string // TLS of the listeners
		agent       []grpc.DialOption
	}{
		"gRPC":          {"", "", []grpc.DialOption{plain}},
		"gzip":          {"", "", []grpc.DialOption{plain, grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name))}},
		"gRPC over TLS": {pair, "", []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(secure))}},
		"WebSocket":     {"", "", []grpc.DialOption{plain, grpc.WithContextDialer(dialWebSocket)}},
		"clients' TLS":  {"", pair, []grpc.DialOption{plain}},
	} {
		t.Run(name, func(t *testing.T) {
			k := startFile(t, fmt.Sprintf(`
gitlab: {address: %q, authentication_secret_file: secret}
agent:
  listen: {address: "127.0.0.1:0", websocket: true%s}
  kubernetes_api: {listen: {address: "localhost:0", shutdown_grace_period: 1s%s}, url_path_prefix: /k8s-proxy}
observability: {listen: {address: "[::1]:0"}}
api: {listen: {address: "127.0.0.1:1", authentication_secret_file: secret}}
private_api: {listen: {address: "127.0.0.1:2", authentication_secret_file: secret}}
`, gitlab.URL, tt.agents, tt.api), map[string][]byte{"crt": cert, "key": key}, nil)
			source := newSource()
			conn, err := grpc.NewClient("passthrough:///"+k.agents, tt.agent...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			for range 2 {
				offerTunnels(t, conn, source.send)
			}
			connect := func(size int) io.Reader {
				for {
					var c net.Conn
					if c, err = net.Dial("tcp", k.api); err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { c.Close() })
					c.SetDeadline(time.Now().Add(time.Minute))
					if err := c.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
						t.Fatal(err)
					}
					if tt.api != "" {
						c = tls.Client(c, secure)
					}
					io.WriteString(c, strings.Replace(upgradeRequest(), "/exec", fmt.Sprintf("/source/%d", size), 1))
					r := bufio.NewReader(c)
					resp, err := http.ReadResponse(r, nil)
					switch {
					case err != nil:
						t.Fatal(err)
					case resp.StatusCode == http.StatusBadGateway:
						continue // the agent's tunnels are slow to come back
					case resp.StatusCode != http.StatusSwitchingProtocols:
						t.Fatal(resp)
					}
					return r
				}
			}
			much, little := 6<<20, 256<<10 // more, and less, than sockets and windows hold
			if name == "gzip" {
				much = 1 << 20 // compressing takes long under the race detector
			}
			slow := connect(much)
			for range 3 {
				source.compare(t, connect(little), little)
			}
			source.compare(t, slow, much)
		})
	}
}

const pair = ", certificate_file: crt, key_file: key"

func dialWebSocket(ctx context.Context, address string) (net.Conn, error) {
	c, _, err := websocket.Dial(ctx, "ws://"+address+"/", &websocket.DialOptions{Subprotocols: []string{subprotocol}})
	if err != nil {
		return nil, err
	}
	return websocket.NetConn(context.Background(), c, websocket.MessageBinary), nil
}

// source is an endless stream in which no two places are the same.
type source struct{ random []byte }

func newSource() *source {
	s := &source{random: make([]byte, 64<<10)}
	rand.Read(s.random)
	return s
}

// block is the n-th of the stream's.
func (s *source) block(n int) []byte {
	b := bytes.Clone(s.random)
	binary.BigEndian.PutUint64(b[n*8%len(b):], uint64(n))
	return b
}

// send answers an upgrade with as many bytes as the path says, in messages of
// changing size.
func (s *source) send(c *call) {
	head, err := c.next()
	if err != nil {
		return
	}
	c.next()
	size := 0
	fmt.Sscanf(head.GetHeader().GetRequest().GetUrlPath(), "/source/%d", &size)
	c.head(101, switched)
	c.trailer()
	for i := 0; size > 0; i++ {
		b := s.block(i)
		b = b[:min(len(b), size)]
		size -= len(b)
		for n := 1 + i*997%len(b); len(b) > 0; n = 32 << 10 {
			n = min(n, len(b))
			c.upgraded(string(b[:n]))
			b = b[n:]
		}
	}
	c.end()
}

func (s *source) compare(t *testing.T, r io.Reader, size int) {
	t.Helper()
	for i := 0; size > 0; i++ {
		want := s.block(i)
		want = want[:min(len(want), size)]
		got := make([]byte, len(want))
		if _, err := io.ReadFull(r, got); err != nil {
			t.Fatalf("%d bytes before the end: %v", size, err)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("other bytes than were sent, %d before the end", size)
		}
		size -= len(want)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("after the end came %d bytes and %v", n, err)
	}
}

// offerTunnels holds one idle tunnel at a time, until the test ends.
func offerTunnels(t *testing.T, conn *grpc.ClientConn, handle func(*call)) {
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+agentToken))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			stream, err := tunnel.NewReverseTunnelClient(conn).Connect(ctx)
			if err != nil {
				continue
			}
			c := &call{stream: stream, t: t}
			c.send(&tunnel.ConnectRequest{Msg: &tunnel.ConnectRequest_Descriptor_{Descriptor_: descriptor()}})
			if _, err := stream.Recv(); err != nil {
				continue
			}
			handle(c)
			for err == nil { // until kas has ended the stream
				_, err = stream.Recv()
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}
