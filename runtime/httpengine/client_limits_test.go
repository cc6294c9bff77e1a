package httpengine_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"kasgen/runtime/httpengine"
)

// TestClientLimitsOfStreams end no stream on which the client has nothing to
// do, and one whose client is late with what it began.
func TestClientLimitsOfStreams(t *testing.T) {
	t.Parallel()
	up := &upstreamServer{}
	u := to(up.start(t))
	_, address := serve(t, grpcTo(u, httpengine.GRPCOptions{Client: httpengine.ClientLimits{Send: short}}), both())
	c := grpcClient(t, address, nil)
	stream, err := c.NewStream(within(t, 20*time.Second), chatDesc, "/lab.Echo/Chat")
	if err != nil {
		t.Fatal(err)
	}
	got := new(wrapperspb.BytesValue)
	for range 3 {
		if err := errors.Join(stream.SendMsg(wrapperspb.Bytes([]byte("x"))), stream.RecvMsg(got)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * short)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(got); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	<-up.ended
	_, address = serve(t, grpcTo(u, httpengine.GRPCOptions{Client: httpengine.ClientLimits{Body: short}}), both())
	stream, err = grpcClient(t, address, nil).NewStream(within(t, 20*time.Second), chatDesc, "/lab.Echo/Silent")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(got); status.Code(err) != codes.Internal {
		t.Errorf("a client that owes its next message: %v", err)
	}
	<-up.ended
}

// TestClientDoesNotRead is cut, over HTTP/1.1 and over HTTP/2.
func TestClientDoesNotRead(t *testing.T) {
	t.Parallel()
	for _, two := range []bool{false, true} {
		t.Run(fmt.Sprint(two), func(t *testing.T) {
			t.Parallel()
			ended := make(chan struct{})
			u := to(scripted(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n")
				_, _ = io.Copy(c, zeros{})
				close(ended)
			}))
			_, address := serve(t, http1To(u, httpengine.HTTP1Options{Client: httpengine.ClientLimits{Send: short}}), both())
			protocols := new(http.Protocols)
			protocols.SetHTTP1(!two)
			protocols.SetUnencryptedHTTP2(two)
			transport := &http.Transport{Protocols: protocols}
			defer transport.CloseIdleConnections()
			req, _ := http.NewRequestWithContext(within(t, 20*time.Second), "GET", "http://"+address+"/", nil)
			resp, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			<-ended
			if _, err := io.Copy(io.Discard, resp.Body); err == nil {
				t.Error("the answer looks complete")
			}
		})
	}
}
