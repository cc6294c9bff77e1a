package operation

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	streamhttp "k8s.io/streaming/pkg/httpstream"
)

const (
	forwardedConnections = 4
	forwardedSize        = 256 << 10 // bytes on each connection, each way
	greetingSize         = 1 << 10   // of those before the others have connected
)

// portForward forwards a local port, opens several connections to it at once
// and compares what comes back on each.
func portForward(ctx context.Context, c *client) (err error) {
	dialer, err := c.forwardDialer(ctx)
	if err != nil {
		return fmt.Errorf("preparing port-forward: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ready := make(chan struct{})
	forwarder, err := portforward.NewOnAddressesForStreamingWithContext(ctx, dialer, []string{"127.0.0.1"},
		[]string{fmt.Sprintf("0:%d", c.RemotePort)}, ready, io.Discard, c.complaints)
	if err != nil {
		return fmt.Errorf("preparing port-forward: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- forwarder.ForwardPorts() }()
	select {
	case err := <-ended:
		return fmt.Errorf("port-forward by %s: %w", c.transport, err)
	case <-ready:
	}
	err = exchangeAll(ctx, forwarder)
	stop()
	if end := <-ended; end != nil && err == nil {
		err = fmt.Errorf("ending port-forward: %w", end)
	}
	return err
}

// forwardDialer connects by the client's transport alone, and only as long as
// ctx lives: the library's dialers take no context.
func (c *client) forwardDialer(ctx context.Context) (streamhttp.Dialer, error) {
	config := rest.CopyConfig(c.Config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return bound{ctx, next} })
	address := c.subresource("portforward").URL()
	if c.transport == WebSocket {
		return portforward.NewSPDYOverWebsocketDialerForStreaming(address, config)
	}
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	return spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, address), nil
}

// bound is a transport for requests that end with a context.
type bound struct {
	ctx  context.Context
	next http.RoundTripper
}

func (b bound) RoundTrip(r *http.Request) (*http.Response, error) {
	return b.next.RoundTrip(r.WithContext(b.ctx))
}

func exchangeAll(ctx context.Context, forwarder *portforward.PortForwarder) error {
	ports, err := forwarder.GetPorts()
	if err != nil {
		return fmt.Errorf("asking for the local port: %w", err)
	}
	if len(ports) != 1 {
		return fmt.Errorf("%d ports are forwarded, not one", len(ports))
	}
	address := net.JoinHostPort("127.0.0.1", fmt.Sprint(ports[0].Local))
	group, ctx := errgroup.WithContext(ctx)
	var met sync.WaitGroup
	met.Add(forwardedConnections)
	for n := range forwardedConnections {
		group.Go(func() error {
			if err := exchange(ctx, address, &met); err != nil {
				return fmt.Errorf("forwarded connection %d: %w", n+1, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// exchange sends a greeting and gets it back, waits until every connection
// has, sends the rest, ends its own direction, and reads to the end.
func exchange(ctx context.Context, address string, met *sync.WaitGroup) error {
	arrive := sync.OnceFunc(met.Done)
	defer arrive() // the others must not wait for one that failed
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	payload := make([]byte, forwardedSize)
	_, _ = rand.Read(payload) // never fails
	got := &comparing{want: payload}
	if _, err := conn.Write(payload[:greetingSize]); err != nil {
		return fmt.Errorf("sending: %w", errors.Join(err, ctx.Err()))
	}
	if _, err := io.CopyN(got, conn, greetingSize); err != nil {
		return fmt.Errorf("waiting for the first %d bytes: %w", greetingSize, errors.Join(err, ctx.Err()))
	}
	arrive()
	met.Wait()

	sent := make(chan error, 1)
	go func() {
		_, err := conn.Write(payload[greetingSize:])
		sent <- errors.Join(err, conn.(*net.TCPConn).CloseWrite())
	}()
	_, err = io.Copy(got, conn)
	if err != nil {
		_ = conn.Close() // ends the writer
	}
	if err := errors.Join(err, <-sent, ctx.Err()); err != nil {
		return fmt.Errorf("after %d bytes: %w", got.got, err)
	}
	return got.err()
}
