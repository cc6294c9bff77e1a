package agent

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"kasgen/internal/kasrpc/grpctool"
)

// exchange is one call of MakeRequest: an HTTP request in messages, and the
// answer. One goroutine receives (message, closeSend, fail), another serves.
type exchange struct {
	agent  *Agent
	ctx    context.Context
	cancel context.CancelCauseFunc

	order   order
	head    chan *incoming // of capacity 1
	body    *io.PipeWriter // nil for a request without one
	upgrade bool           // the client asks for one
	ended   chan struct{}  // closed when kas has half-closed

	// decided is closed when it is known whether the connection was upgraded;
	// switched is the upgraded connection, or nil.
	decided  chan struct{}
	switched io.Writer
	deaf     bool        // the cluster takes no more bytes
	over     atomic.Bool // serve has returned
}

func newExchange(ctx context.Context, a *Agent) *exchange {
	ctx, cancel := context.WithCancelCause(ctx)
	return &exchange{
		agent:   a,
		ctx:     ctx,
		cancel:  cancel,
		order:   requestOrder(),
		head:    make(chan *incoming, 1),
		ended:   make(chan struct{}),
		decided: make(chan struct{}),
	}
}

// message takes the next message from kas.
func (e *exchange) message(data []byte) error {
	if e.over.Load() {
		return nil // nobody waits for it any more
	}
	var m grpctool.HttpRequest
	if err := proto.Unmarshal(data, &m); err != nil {
		return status.Errorf(codes.Internal, "HTTP request: %v", err)
	}
	if err := e.order.next(kindOfRequest(&m)); err != nil {
		return err
	}
	switch v := m.Message.(type) {
	case *grpctool.HttpRequest_Header_:
		return e.takeHead(v.Header)
	case *grpctool.HttpRequest_Data_:
		return e.takeData(v.Data.GetData())
	case *grpctool.HttpRequest_Trailer_:
		if e.body != nil {
			_ = e.body.Close() // it never fails
		}
	case *grpctool.HttpRequest_UpgradeData_:
		return e.takeUpgradeData(v.UpgradeData.GetData())
	}
	return nil
}

func (e *exchange) takeHead(h *grpctool.HttpRequest_Header) error {
	in, err := readHead(h)
	if err != nil {
		return err
	}
	e.upgrade = in.upgrade()
	if in.hasBody {
		in.body, e.body = io.Pipe()
	}
	e.head <- in
	return nil
}

func (e *exchange) takeData(p []byte) error {
	if e.body == nil {
		return status.Error(codes.Internal, "HTTP request: data for a request that has content_length 0")
	}
	// A closed pipe is an API server that answered without reading the whole
	// body. kas sends all of it before it reads the answer, so take the rest.
	if _, err := e.body.Write(p); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		return status.Errorf(codes.Unavailable, "HTTP request: body: %v", err)
	}
	return nil
}

func (e *exchange) takeUpgradeData(p []byte) error {
	if !e.upgrade {
		return status.Error(codes.Internal, "HTTP request: upgrade data for a request without Upgrade")
	}
	select {
	case <-e.decided:
	case <-e.ctx.Done():
		return nil
	}
	if e.switched == nil {
		return status.Error(codes.Internal, "HTTP request: upgrade data, but the API server did not upgrade")
	}
	if e.deaf {
		return nil
	}
	if _, err := e.switched.Write(p); err != nil {
		// What the cluster still has to say may be there to read, and the
		// reading side learns of the broken connection by itself.
		e.deaf = true
	}
	return nil
}

// closeSend is kas's half-close. An upgraded connection stays open for what
// the cluster still sends: agentk does not half-close it.
func (e *exchange) closeSend() error {
	if e.over.Load() {
		return nil
	}
	if err := e.order.next(kindEnd); err != nil {
		return err
	}
	close(e.ended)
	return nil
}

// fail ends the exchange with err as its status.
func (e *exchange) fail(err error) { e.cancel(err) }

// serve makes the request and sends the answer. Its error is the status of the
// call. send returns false once kas is gone.
func (e *exchange) serve(send func([]byte) bool) error {
	defer e.over.Store(true)
	var in *incoming
	select {
	case in = <-e.head:
	case <-e.ctx.Done():
		return e.status(e.ctx.Err())
	}
	if in.body != nil {
		// Whatever stopped the request, the receiving side must not hang on it.
		defer in.body.CloseWithError(io.ErrClosedPipe)
	}
	response, err := e.agent.do(e.ctx, in)
	if err != nil {
		return e.status(err)
	}
	defer response.Body.Close()

	out := &outgoing{send: send, buffer: e.agent.buffers.Get().(*[]byte)}
	defer e.agent.buffers.Put(out.buffer)
	if err := out.head(response); err != nil {
		return e.status(err)
	}
	if response.StatusCode == http.StatusSwitchingProtocols {
		return e.serveUpgraded(out, response)
	}
	close(e.decided)
	if err := out.copy(httpData, response.Body); err != nil {
		return e.status(err)
	}
	if err := out.trailer(); err != nil {
		return e.status(err)
	}
	select {
	case <-e.ended:
		return nil
	case <-e.ctx.Done():
		return e.status(e.ctx.Err())
	}
}

// serveUpgraded carries bytes both ways until the cluster closes or ctx ends.
func (e *exchange) serveUpgraded(out *outgoing, response *http.Response) error {
	connection := response.Body.(io.ReadWriter) // upgradeTransport's
	if err := out.trailer(); err != nil {
		return e.status(err)
	}
	e.switched = connection
	close(e.decided)
	if err := out.copy(httpUpgradeData, connection); err != nil {
		return e.status(err)
	}
	return nil
}

// status is err as agentk would report it: the fault that ended the exchange if
// there was one, the end of ctx, or else Unavailable.
func (e *exchange) status(err error) error {
	cause := context.Cause(e.ctx)
	var fault interface{ GRPCStatus() *status.Status }
	switch {
	case errors.As(cause, &fault):
		return fault.GRPCStatus().Err()
	case errors.Is(cause, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, err.Error())
	case cause != nil:
		return status.Error(codes.Canceled, err.Error())
	default:
		return status.Error(codes.Unavailable, err.Error())
	}
}
