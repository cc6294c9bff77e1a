package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"kasgen/internal/kasrpc/grpctool"
	"kasgen/internal/kasrpc/kubeapi"
	"kasgen/internal/kasrpc/prototool"
	"kasgen/internal/kasrpc/tunnel"
	"kasgen/runtime/kas/tunnels"
	"kasgen/runtime/kas/wire"
)

// method is what requests call at the agent.
const method = kubeapi.KubernetesApi_MakeRequest_FullMethodName

// forwarding is a request that may go to a cluster.
type forwarding struct {
	path        string
	agent       int64
	impersonate *impersonation
	upgrade     string // "", or the token asked for
}

// forward sends the request through a tunnel and the answer back.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, f forwarding) {
	head, err := p.head(r, f)
	if err != nil {
		p.fail(w, r, http.StatusBadRequest, "the request cannot be forwarded: "+err.Error(), nil)
		return
	}
	find, cancel := context.WithTimeout(r.Context(), p.FindTunnel)
	t, err := p.Tunnels.Take(find, f.agent, method)
	cancel()
	switch {
	case errors.Is(err, tunnels.ErrNoAgent):
		p.metrics.missing.Inc()
		p.fail(w, r, http.StatusBadGateway, err.Error(), nil)
		return
	case err != nil:
		// Returning would make the server answer 200 to a client that has
		// only closed its sending direction.
		panic(http.ErrAbortHandler)
	}
	x := exchange{proxy: p, tunnel: t, w: w, r: r, answer: answer{tunnel: t}}
	// A client that goes away ends the request in the cluster.
	stop := context.AfterFunc(r.Context(), func() { t.Finish(errClientGone) })
	defer stop()
	if err := x.send(head, f.upgrade == ""); err != nil {
		t.Finish(err)
		x.broken(err)
		return
	}
	if f.upgrade == "" {
		t.Finish(x.receive())
		x.finishBody()
	} else if !x.switchProtocols(stop) {
		return
	}
	if x.failure != nil {
		x.broken(x.failure)
	}
}

var errClientGone = errors.New("the client closed its connection")

// head is the request's first message in the tunnel.
func (p *Proxy) head(r *http.Request, f forwarding) ([]byte, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("its query cannot be read: %w", err)
	}
	for _, ours := range [...]string{agentQuery, csrfQuery, tokenQuery} {
		delete(query, ours)
	}
	q := make(map[string]*prototool.Values, len(query))
	for k, v := range query {
		q[k] = &prototool.Values{Value: v}
	}
	h := &grpctool.HttpRequest_Header{
		Request: &prototool.HttpRequest{Method: r.Method, Header: p.outgoing(r.Header, f.upgrade), UrlPath: f.path, Query: q},
		// 0 tells the agent not to send a body at all: an empty chunked one
		// before an upgrade breaks it.
		ContentLength: &r.ContentLength,
	}
	if f.impersonate != nil {
		if h.Extra, err = anypb.New(&kubeapi.HeaderExtra{ImpConfig: f.impersonate}); err != nil {
			return nil, err
		}
	}
	// Here rather than on the way out: what is not UTF-8 must not cost a tunnel.
	return proto.Marshal(&grpctool.HttpRequest{Message: &grpctool.HttpRequest_Header_{Header: h}})
}

// exchange is one request and its answer in a tunnel.
type exchange struct {
	proxy  *Proxy
	tunnel *tunnels.Tunnel
	w      http.ResponseWriter
	r      *http.Request
	answer answer

	answered  bool          // a status has been written
	bodyFault error         // why the client's body could not be read; set before body is closed
	failure   error         // what to tell the client, or to end its connection for
	body      chan struct{} // closed when the body has been sent; nil without one
}

// send sends head, body and trailer. A body goes on beside the answer, because
// a cluster may answer before it has read all of it.
func (x *exchange) send(head []byte, closeSend bool) error {
	if err := x.tunnel.Send(&tunnel.ConnectResponse{Msg: &tunnel.ConnectResponse_RequestInfo{
		RequestInfo: &tunnel.RequestInfo{MethodName: method}}}); err != nil {
		return err
	}
	if err := x.sendBytes(head); err != nil {
		return err
	}
	if x.r.ContentLength == 0 {
		return x.endRequest(closeSend)
	}
	x.body = make(chan struct{})
	if err := http.NewResponseController(x.w).EnableFullDuplex(); err != nil {
		return err
	}
	go func() {
		defer close(x.body)
		if err := x.sendBody(); err != nil {
			x.tunnel.Finish(fmt.Errorf("the request's body ended: %w", err))
			return
		}
		if err := x.endRequest(closeSend); err != nil {
			x.tunnel.Finish(err)
		}
	}()
	return nil
}

func (x *exchange) sendMessage(m *grpctool.HttpRequest) error {
	data, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	return x.sendBytes(data)
}

// sendBytes sends a message that is marshalled already.
func (x *exchange) sendBytes(data []byte) error {
	return x.tunnel.Send(&tunnel.ConnectResponse{Msg: &tunnel.ConnectResponse_Message{Message: &tunnel.Message{Data: data}}})
}

func (x *exchange) endRequest(closeSend bool) error {
	if err := x.sendMessage(&grpctool.HttpRequest{Message: &grpctool.HttpRequest_Trailer_{Trailer: &grpctool.HttpRequest_Trailer{}}}); err != nil {
		return err
	}
	if !closeSend {
		return nil
	}
	return x.closeSend()
}

func (x *exchange) closeSend() error {
	return x.tunnel.Send(&tunnel.ConnectResponse{Msg: &tunnel.ConnectResponse_CloseSend{CloseSend: &tunnel.CloseSend{}}})
}

func (x *exchange) sendBody() error {
	for {
		buf := x.proxy.pool.Get(chunkSize)
		n, err := x.r.Body.Read(*buf)
		if err != nil && !errors.Is(err, io.EOF) {
			x.bodyFault = err
		}
		if n == 0 {
			x.proxy.pool.Put(buf)
		} else {
			*buf = (*buf)[:n]
			if err := x.tunnel.Send(&wire.Chunk{Payload: mem.NewBuffer(buf, x.proxy.pool)}); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// finishBody waits for the goroutine that sends the body. Where the answer is
// complete before the body, nobody wants the rest.
func (x *exchange) finishBody() {
	if x.body == nil {
		return
	}
	select {
	case <-x.body:
		return
	default:
	}
	x.w.Header().Set("Connection", "close")
	// Unblocks the read; the server then closes the connection.
	if err := http.NewResponseController(x.w).SetReadDeadline(time.Unix(1, 0)); err != nil {
		x.proxy.Log.DebugContext(x.r.Context(), "ending the read of a body", "error", err)
	}
	<-x.body
	x.bodyFault = nil // it was this that ended the read
}

// receive passes the whole answer to the client. Its error is why the tunnel
// did not end well.
func (x *exchange) receive() error {
	var f wire.Frame
	for {
		err := x.answer.next(&f)
		if err == nil {
			err = x.pass(&f)
			f.Free()
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			x.failure = err
			return err
		}
	}
}

// pass writes one frame of an ordinary answer to the client.
func (x *exchange) pass(f *wire.Frame) error {
	rc := http.NewResponseController(x.w)
	switch {
	case f.IsData() && f.Upgrade:
		return errors.New("the agent sent bytes of an upgraded stream, but nothing was upgraded")
	case f.IsData():
		if err := x.proxy.writeFrame(x.w, f); err != nil {
			return fmt.Errorf("%w: %w", errClientGone, err)
		}
		return rc.Flush()
	case f.HTTP.GetHeader() != nil:
		response := f.HTTP.GetHeader().GetResponse()
		code := int(response.GetStatusCode())
		if code < 200 || code > 599 {
			return fmt.Errorf("the agent answered with status %d", code)
		}
		x.proxy.incoming(x.w.Header(), response)
		x.answered = true
		x.proxy.metrics.answered(code)
		x.w.WriteHeader(code)
		// A watch has nothing to say for a long time, and its client waits
		// for the head.
		return rc.Flush()
	default:
		return nil // the trailer
	}
}

// broken tells the client that the answer failed, or ends its connection where
// the answer has begun.
func (x *exchange) broken(err error) {
	if x.answered {
		x.proxy.Log.InfoContext(x.r.Context(), "an answer broke off", "error", err)
		panic(http.ErrAbortHandler)
	}
	if x.bodyFault != nil && !errors.Is(x.bodyFault, io.ErrUnexpectedEOF) {
		x.answered = true
		x.w.Header().Set("Connection", "close")
		x.proxy.fail(x.w, x.r, http.StatusBadRequest, "the request's body cannot be read: "+x.bodyFault.Error(), nil)
		return
	}
	if x.r.Context().Err() != nil {
		// The client has gone, or has stopped sending in the middle. Returning
		// would make the server answer 200.
		panic(http.ErrAbortHandler)
	}
	x.answered = true
	x.proxy.fail(x.w, x.r, http.StatusBadGateway, "the request did not get through the agent: "+err.Error(), err)
}
