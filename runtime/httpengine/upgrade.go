package httpengine

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"kasgen/runtime/relay"
	"kasgen/runtime/sniff"
)

// upgrade joins the two connections after a 101. handed means that the
// upstream's belongs to somebody else now. stop ends the watch over the
// client's leaving.
func (x *exchange) upgrade(h *head, stop func() bool) (failure *Failure, handed bool) {
	switch {
	case len(x.out.Header["Upgrade"]) == 0 || x.side.r.ProtoMajor != 1:
		return x.failed(errors.New("the upstream answered 101 to a request that asked for no upgrade")), false
	case x.body != nil && len(x.sent) == 0:
		return x.failed(errors.New("the upstream answered 101 before it had the request")), false
	}
	protocol, connection := h.header.Values("Upgrade"), []string{"upgrade"}
	if own := h.header.Values("Connection"); x.options.OwnConnection && len(own) > 0 {
		connection = own
	}
	removeConnection(h.header)
	delete(h.header, "Upgrade")
	resp := &Response{Status: h.status, Header: h.header, Body: http.NoBody}
	if x.options.OnResponse != nil && x.options.OnResponse(resp) {
		return nil, false
	}
	client, early, err := x.side.rc.Hijack()
	if err != nil {
		return x.failed(fmt.Errorf("taking over the client's connection: %w", err)), false
	}
	ended := x.options.Upgraded
	if ended == nil {
		ended = func() {}
	}
	if !stop() {
		client.Close()
		ended()
		return nil, false
	}
	client = unguarded(client)
	x.silent.Stop()
	x.stalled.Stop()
	// The caller's own headers are of this answer, too.
	header := x.side.w.Header().Clone()
	for k, v := range resp.Header {
		header[k] = v
	}
	header["Connection"], header["Upgrade"] = connection, protocol
	if err := x.switched(client, header); err != nil {
		client.Close()
		ended()
		return nil, false
	}
	streams := &x.up.streams
	if c := ClientOf(x.side.r.Context()); c != nil {
		streams = c.streams
	}
	limit := x.up.Read
	if x.options.Tunnel > 0 {
		limit = x.options.Tunnel
	}
	streams.Join(sniff.Replay(client, ahead(early.Reader)), sniff.Replay(x.conn, ahead(x.answers)), relay.Options{
		Silence: limit, ClientSend: x.options.Client.Send, ServerSend: x.up.Send, Ends: x.options.Ends, Done: ended,
	})
	return nil, true
}

// switched tells the client.
func (x *exchange) switched(client net.Conn, header http.Header) error {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	if err := header.Write(&b); err != nil {
		return err
	}
	b.WriteString("\r\n")
	if limit := x.options.Client.Send; limit > 0 {
		if err := client.SetWriteDeadline(time.Now().Add(limit)); err != nil {
			return err
		}
	}
	if _, err := b.WriteTo(client); err != nil {
		return err
	}
	return client.SetWriteDeadline(time.Time{})
}

// ahead is what has been read of the next bytes.
func ahead(r *bufio.Reader) []byte {
	b, err := r.Peek(r.Buffered())
	if err != nil {
		return nil // Peek of what is buffered does not fail
	}
	return b
}
