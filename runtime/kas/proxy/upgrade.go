package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"kasgen/internal/kasrpc/prototool"
	"kasgen/runtime/kas/wire"
)

// writeLimit is how long one write to a client may take.
const writeLimit = 20 * time.Second

// switchProtocols waits for the answer to an upgrade. After a 101 it takes the
// connection over, and the handler may return: it reports false. Any other
// answer is passed on as usual.
func (x *exchange) switchProtocols(stop func() bool) bool {
	var f wire.Frame
	if err := x.answer.next(&f); err != nil {
		x.tunnel.Finish(err)
		x.failure = err
		return true
	}
	response := f.HTTP.GetHeader().GetResponse()
	f.Free()
	if response.GetStatusCode() != http.StatusSwitchingProtocols {
		return x.refused(response)
	}
	// An empty body and the trailer come before the upgraded bytes.
	for !x.answer.ended {
		if err := x.answer.next(&f); err != nil {
			x.tunnel.Finish(err)
			x.failure = err
			return true
		}
		f.Free()
	}
	// Counted before the client hears of it, so that a drain waits for it.
	leave := x.proxy.streams.Enter()
	s, err := x.hijack(response, stop)
	if err != nil {
		leave()
		x.tunnel.Finish(err)
		x.answered = true
		x.failure = err
		return true
	}
	x.proxy.metrics.upgraded.Inc()
	go func() {
		defer leave()
		defer x.proxy.metrics.upgraded.Dec()
		s.run()
	}()
	return false
}

// refused passes on an answer that is not 101.
func (x *exchange) refused(response *prototool.HttpResponse) bool {
	x.w.Header().Set("Connection", "close")
	x.proxy.incoming(x.w.Header(), response)
	x.answered = true
	code := int(response.GetStatusCode())
	if code < 200 || code > 599 {
		x.failure = fmt.Errorf("the agent answered with status %d", code)
		x.tunnel.Finish(x.failure)
		return true
	}
	x.proxy.metrics.answered(code)
	x.w.WriteHeader(code)
	if err := x.closeSend(); err != nil {
		x.failure = err
		x.tunnel.Finish(err)
		return true
	}
	x.tunnel.Finish(x.receive())
	return true
}

// hijack takes the client's connection and writes the 101.
func (x *exchange) hijack(response *prototool.HttpResponse, stop func() bool) (*stream, error) {
	conn, buffered, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		return nil, fmt.Errorf("taking over the connection: %w", err)
	}
	// From here on the request's context says nothing of the client.
	if !stop() {
		conn.Close()
		return nil, errClientGone
	}
	if u, ok := conn.(interface{ Hijacked() net.Conn }); ok {
		conn = u.Hijacked()
	}
	x.proxy.incoming(x.w.Header(), response)
	h := x.w.Header()
	h["Upgrade"] = response.GetHeader()["Upgrade"].GetValue()
	h.Set("Connection", "Upgrade")
	var head bytes.Buffer
	fmt.Fprintf(&head, "HTTP/1.1 101 %s\r\n", http.StatusText(http.StatusSwitchingProtocols))
	if err := errors.Join(h.Write(&head), deadline(conn), write(conn, append(head.Bytes(), "\r\n"...))); err != nil {
		conn.Close()
		return nil, err
	}
	x.proxy.metrics.answered(http.StatusSwitchingProtocols)
	s := &stream{exchange: x, conn: conn, ended: make(chan struct{})}
	// Bytes that the client sent before it saw the 101.
	if n := buffered.Reader.Buffered(); n > 0 {
		if s.early, err = buffered.Reader.Peek(n); err != nil {
			conn.Close()
			return nil, err
		}
		s.early = bytes.Clone(s.early)
	}
	// The exchange lives as long as the stream; request, response and their
	// buffers need not.
	x.w, x.r = nil, nil
	return s, nil
}

func deadline(c net.Conn) error {
	return errors.Join(c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Now().Add(writeLimit)))
}

func write(w io.Writer, p []byte) error {
	_, err := w.Write(p)
	return err
}
