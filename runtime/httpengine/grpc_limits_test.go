package httpengine_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"kasgen/runtime/httpengine"
)

// TestGRPCSilent cuts a stream whose upstream says nothing: 504 where there is
// no answer yet, which gRPC calls unavailable, and a reset afterwards.
func TestGRPCSilent(t *testing.T) {
	t.Parallel()
	limit := func(u *httpengine.Upstream) { u.Read, u.EitherWay = short, true }
	variants(t, limit, func(t *testing.T, up *upstreamServer, c *grpc.ClientConn) {
		for method, want := range map[string]codes.Code{"/lab.Echo/Mute": codes.Unavailable, "/lab.Echo/Silent": codes.Internal} {
			stream, err := c.NewStream(within(t, 20*time.Second), chatDesc, method)
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.RecvMsg(new(wrapperspb.BytesValue)); status.Code(err) != want {
				t.Errorf("%s: %v, want %v", method, err, want)
			}
			<-up.ended
		}
	})
}

// TestGRPCSilenceBegins waits, as nginx does, until the upstream has the whole
// request or has begun to answer.
func TestGRPCSilenceBegins(t *testing.T) {
	t.Parallel()
	limit := func(u *httpengine.Upstream) { u.Read = short }
	variants(t, limit, func(t *testing.T, up *upstreamServer, c *grpc.ClientConn) {
		stream, err := c.NewStream(within(t, 20*time.Second), chatDesc, "/lab.Echo/Chat")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * short) // within the request, and nothing is answered
		if err := stream.SendMsg(wrapperspb.Bytes([]byte("x"))); err != nil {
			t.Fatal(err)
		}
		got := new(wrapperspb.BytesValue)
		if err := stream.RecvMsg(got); err != nil {
			t.Fatalf("the limit began before the answer: %v", err)
		}
		if err := stream.RecvMsg(got); status.Code(err) != codes.Internal {
			t.Errorf("got %v", err)
		}
		<-up.ended
	})
}

// TestGRPCStalled does not read what it is sent.
func TestGRPCStalled(t *testing.T) {
	t.Parallel()
	limit := func(u *httpengine.Upstream) { u.Send = short }
	variants(t, limit, func(t *testing.T, up *upstreamServer, c *grpc.ClientConn) {
		stream, err := c.NewStream(within(t, 20*time.Second), chatDesc, "/lab.Echo/Mute")
		if err != nil {
			t.Fatal(err)
		}
		for err == nil { // until the windows are full
			err = stream.SendMsg(wrapperspb.Bytes(make([]byte, 256<<10)))
		}
		if err := stream.RecvMsg(new(wrapperspb.BytesValue)); status.Code(err) != codes.Unavailable {
			t.Errorf("got %v", err)
		}
		<-up.ended
	})
}

func TestGRPCDeadline(t *testing.T) {
	t.Parallel()
	variants(t, nil, func(t *testing.T, up *upstreamServer, c *grpc.ClientConn) {
		stream, err := c.NewStream(within(t, 2*short), chatDesc, "/lab.Echo/Silent")
		if err != nil {
			t.Fatal(err)
		}
		// The upstream has the same deadline. Where its reset comes first, it is
		// passed on as one.
		if err := stream.RecvMsg(new(wrapperspb.BytesValue)); status.Code(err) != codes.DeadlineExceeded && status.Code(err) != codes.Internal {
			t.Errorf("got %v", err)
		}
		if err := <-up.ended; !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			t.Errorf("the upstream saw %v", err)
		}
	})
}

// limited fails once it has read more than left.
type limited struct {
	io.Reader
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if l.left -= n; l.left < 0 {
		return 0, httpengine.ErrBodyTooLarge
	}
	return n, err
}

// TestGRPCBodyLimit is nginx's client_max_body_size: it adds up over a stream.
func TestGRPCBodyLimit(t *testing.T) {
	t.Parallel()
	up := &upstreamServer{}
	u := to(up.start(t))
	_, address := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := passing(r)
		out.Body = &limited{r.Body, 1 << 10}
		answer(w, u.GRPC(w, r, out, httpengine.GRPCOptions{}))
	}), both())
	c := grpcClient(t, address, nil)
	m, got := wrapperspb.Bytes(make([]byte, 400)), new(wrapperspb.BytesValue)
	stream, err := c.NewStream(within(t, 20*time.Second), chatDesc, "/lab.Echo/Chat")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := errors.Join(stream.SendMsg(m), stream.RecvMsg(got)); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.SendMsg(m); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(got); status.Code(err) != codes.Internal {
		t.Errorf("after the answer began: %v", err)
	}
	<-up.ended
	large := wrapperspb.Bytes(make([]byte, 2<<10))
	if err := c.Invoke(within(t, 20*time.Second), "/lab.Echo/Echo", large, got); status.Code(err) != codes.Unknown || !strings.Contains(err.Error(), "413") {
		t.Errorf("before the answer: %v", err)
	}
}

// TestGRPCGoAway stops the upstream gracefully in the middle of a stream.
func TestGRPCGoAway(t *testing.T) {
	t.Parallel()
	for _, share := range []bool{false, true} {
		up := &upstreamServer{}
		u := to(up.start(t, grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: short, MaxConnectionAgeGrace: time.Minute})))
		u.Share = share
		t.Cleanup(u.Close)
		_, address := serve(t, grpcTo(u, httpengine.GRPCOptions{}), both())
		c := grpcClient(t, address, nil)
		stream, err := c.NewStream(within(t, 20*time.Second), chatDesc, "/lab.Echo/Chat")
		if err != nil {
			t.Fatal(err)
		}
		got := new(wrapperspb.BytesValue)
		for range 10 {
			time.Sleep(short / 2)
			if err := errors.Join(stream.SendMsg(wrapperspb.Bytes([]byte("x"))), stream.RecvMsg(got)); err != nil {
				t.Fatalf("share %v: %v", share, err)
			}
			// Further requests go over another connection.
			if err := c.Invoke(within(t, 20*time.Second), "/lab.Echo/Echo", got, got); err != nil {
				t.Fatalf("share %v: %v", share, err)
			}
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(got); !errors.Is(err, io.EOF) {
			t.Errorf("share %v: %v", share, err)
		}
	}
}

// TestGRPCKeepalive has the client ask all the time whether the engine is
// there, and an upstream that ends connections which do that.
func TestGRPCKeepalive(t *testing.T) {
	t.Parallel()
	up := &upstreamServer{}
	_, address := serve(t, grpcTo(to(up.start(t)), httpengine.GRPCOptions{}), both())
	c, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: time.Second, PermitWithoutStream: true}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Invoke(within(t, 20*time.Second), "/lab.Echo/Echo", wrapperspb.Bytes(nil), new(wrapperspb.BytesValue)); err != nil {
		t.Fatal(err)
	}
}

// TestGRPCFrames is an upstream of single frames: what it does to a stream is
// done to the client's.
func TestGRPCFrames(t *testing.T) {
	t.Parallel()
	fields := func(pairs ...string) []byte {
		var b strings.Builder
		e := hpack.NewEncoder(&b)
		for i := 0; i < len(pairs); i += 2 {
			_ = e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
		}
		return []byte(b.String())
	}
	head := fields(":status", "200", "content-type", "application/grpc")
	for name, tt := range map[string]struct {
		frames func(f *http2.Framer)
		want   codes.Code
	}{
		"reset before the head": {func(f *http2.Framer) { _ = f.WriteRSTStream(1, http2.ErrCodeRefusedStream) }, codes.Unavailable},
		"reset behind the head": {func(f *http2.Framer) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head, EndHeaders: true})
			_ = f.WriteRSTStream(1, http2.ErrCodeEnhanceYourCalm)
		}, codes.Internal},
		"trailers only, then reset": {func(f *http2.Framer) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: fields(":status", "200", "content-type", "application/grpc", "grpc-status", "9"), EndHeaders: true, EndStream: true})
			_ = f.WriteRSTStream(1, http2.ErrCodeNo)
		}, codes.FailedPrecondition},
		"goaway and the rest": {func(f *http2.Framer) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head, EndHeaders: true})
			_ = f.WriteGoAway(1, http2.ErrCodeNo, nil)
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: fields("grpc-status", "9"), EndHeaders: true, EndStream: true})
		}, codes.FailedPrecondition},
		"closed behind the head": {func(f *http2.Framer) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head, EndHeaders: true})
		}, codes.Internal},
		"closed":     {func(*http2.Framer) {}, codes.Unavailable},
		"not HTTP/2": {nil, codes.Unavailable},
		"HTTP error 503": {func(f *http2.Framer) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: fields(":status", "503"), EndHeaders: true, EndStream: true})
		}, codes.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ln := listen(t)
			go func() {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
					return
				}
				if tt.frames == nil {
					io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
					return
				}
				f := http2.NewFramer(c, c)
				_ = f.WriteSettings()
				for {
					frame, err := f.ReadFrame()
					if err != nil {
						return
					}
					if _, ok := frame.(*http2.HeadersFrame); ok {
						break
					}
				}
				tt.frames(f)
				_ = c.(*net.TCPConn).CloseWrite()
				untilClosed(c)
			}()
			_, address := serve(t, grpcTo(to(ln.Addr().String()), httpengine.GRPCOptions{}), both())
			c := grpcClient(t, address, nil)
			stream, err := c.NewStream(within(t, 20*time.Second), chatDesc, "/x/y")
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.RecvMsg(new(wrapperspb.BytesValue)); status.Code(err) != tt.want {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// TestHTTP1ToHTTP2 is a client of HTTP/1.1 before an upstream of HTTP/2.
func TestHTTP1ToHTTP2(t *testing.T) {
	t.Parallel()
	ln := listen(t)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	backend := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || r.ProtoMajor != 2 || r.Header.Get("X-Hop") != "" {
			w.WriteHeader(http.StatusTeapot)
		}
		w.Header().Set("X-Target", r.RequestURI)
		w.Header().Set(http.TrailerPrefix+"X-Tail", "t")
		_, _ = w.Write(b)
		w.(http.Flusher).Flush() // a length would leave no room for a trailer
	})}
	go backend.Serve(ln)
	defer backend.Close()
	_, address := serve(t, grpcTo(to(ln.Addr().String()), httpengine.GRPCOptions{}), both())
	for _, length := range []int64{-1, 6} {
		req, _ := http.NewRequest("POST", "http://"+address+"/a%2fb?%zz", strings.NewReader("what ?"))
		req.ContentLength = length
		req.Close = true
		req.Header.Set("Connection", "x-hop")
		req.Header.Set("X-Hop", "1")
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || string(b) != "what ?" || resp.Header.Get("X-Target") != "/a%2fb?%zz" || resp.Trailer.Get("X-Tail") != "t" {
			t.Errorf("length %d: got %s %q %v %v %v", length, resp.Status, b, resp.Header, resp.Trailer, err)
		}
	}
}
