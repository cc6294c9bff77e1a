package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"kasgen/internal/kasrpc/kubeapi"
	"kasgen/internal/kasrpc/prototool"
	tunnelpb "kasgen/internal/kasrpc/tunnel"
)

// lingerTime is how long kas has to end a stream on which it broke the order,
// once it has been told so.
const lingerTime = 5 * time.Second

// connection is one Connect stream.
type connection struct {
	agent  *Agent
	stream tunnelpb.ReverseTunnel_ConnectClient
	cancel context.CancelFunc
	order  order
	headed bool // the response's header was sent
}

// connect runs one Connect stream: it waits for a request, serves it and waits
// until kas ends the stream.
func (a *Agent) connect(ctx context.Context, client tunnelpb.ReverseTunnelClient, onActive func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.Connect(ctx)
	if err != nil {
		return fmt.Errorf("Connect: %w", err)
	}
	c := &connection{agent: a, stream: stream, cancel: cancel, order: tunnelOrder()}
	if !c.send(descriptor()) {
		_, err = stream.Recv() // Send knows only that the stream is over
		return endOf(err)
	}
	a.ready.descriptorSent()

	first, err := stream.Recv()
	if err != nil {
		return endOf(err)
	}
	if err := c.order.next(kindOfTunnel(first)); err != nil {
		c.fail(err)
		return errors.Join(err, c.drain(lingerTime))
	}
	onActive()
	method := first.GetRequestInfo().GetMethodName()
	if method != kubeapi.KubernetesApi_MakeRequest_FullMethodName {
		c.fail(status.Errorf(codes.Unimplemented, "the agent does not serve %s", method))
		return c.drain(0)
	}
	return c.makeRequest(ctx)
}

// makeRequest serves the request that has begun. Receiving has a goroutine of
// its own, so that the end of the stream ends the request at any time.
func (c *connection) makeRequest(ctx context.Context) error {
	e := newExchange(ctx, c.agent)
	received := make(chan error, 1)
	go func() { received <- c.receive(e) }()
	err := e.serve(c.sendMessage)
	e.cancel(context.Canceled) // the receiver waits for nothing of it any more
	c.finish(err)
	return <-received
}

// receive hands what kas sends to e, until the stream ends. After a fault of
// kas it only waits for that end.
func (c *connection) receive(e *exchange) error {
	for {
		m, err := c.stream.Recv()
		if err != nil {
			err = endOf(err)
			e.cancel(context.Canceled)
			return err
		}
		if err := c.order.next(kindOfTunnel(m)); err != nil {
			e.fail(err)
			return errors.Join(err, c.drain(lingerTime))
		}
		if m.GetCloseSend() != nil {
			err = e.closeSend()
		} else {
			err = e.message(m.GetMessage().GetData())
		}
		if err != nil {
			e.fail(err)
			return c.drain(0)
		}
	}
}

// drain receives until the stream ends; limit 0 is as long as it takes.
func (c *connection) drain(limit time.Duration) error {
	if limit > 0 {
		defer time.AfterFunc(limit, c.cancel).Stop()
	}
	for {
		if _, err := c.stream.Recv(); err != nil {
			return endOf(err)
		}
	}
}

// endOf is nil for an orderly end.
func endOf(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// send returns false once the stream is over; receiving tells why.
func (c *connection) send(m *tunnelpb.ConnectRequest) bool { return c.stream.Send(m) == nil }

// sendMessage sends one message of the response, and the header before the
// first.
func (c *connection) sendMessage(data []byte) bool {
	if !c.headed {
		c.headed = true
		// What agentk's gRPC server answers with: kas must cope with it.
		if !c.send(header(map[string]*prototool.Values{"content-type": {Value: []string{"application/grpc"}}})) {
			return false
		}
	}
	return c.send(&tunnelpb.ConnectRequest{Msg: &tunnelpb.ConnectRequest_Message{
		Message: &tunnelpb.Message{Data: data},
	}})
}

// finish ends a call that began with err as its status. A call that failed
// before its first message has an empty header.
func (c *connection) finish(err error) {
	if !c.headed && !c.send(header(nil)) {
		return
	}
	if !c.send(&tunnelpb.ConnectRequest{Msg: &tunnelpb.ConnectRequest_Trailer{Trailer: &tunnelpb.Trailer{}}}) {
		return
	}
	if err != nil {
		c.fail(err)
		return
	}
	_ = c.stream.CloseSend() // grpc-go: it never fails
}

// fail tells kas the status of the call, which is then over.
func (c *connection) fail(err error) {
	c.send(&tunnelpb.ConnectRequest{Msg: &tunnelpb.ConnectRequest_Error{
		Error: &tunnelpb.Error{Status: status.Convert(err).Proto()},
	}})
	_ = c.stream.CloseSend() // grpc-go: it never fails
}

func header(meta map[string]*prototool.Values) *tunnelpb.ConnectRequest {
	return &tunnelpb.ConnectRequest{Msg: &tunnelpb.ConnectRequest_Header{Header: &tunnelpb.Header{Meta: meta}}}
}

// descriptor lists what the agent serves.
func descriptor() *tunnelpb.ConnectRequest {
	service := kubeapi.KubernetesApi_ServiceDesc
	d := &tunnelpb.Service{Name: service.ServiceName}
	for _, s := range service.Streams {
		d.Methods = append(d.Methods, &tunnelpb.Method{Name: s.StreamName})
	}
	return &tunnelpb.ConnectRequest{Msg: &tunnelpb.ConnectRequest_Descriptor_{Descriptor_: &tunnelpb.Descriptor{
		AgentDescriptor: &tunnelpb.AgentDescriptor{Services: []*tunnelpb.Service{d}},
	}}}
}
