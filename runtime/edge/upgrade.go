package edge

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"kasgen/runtime/relay"
	"kasgen/runtime/sniff"
)

// upgrade forwards a request that asks for an upgrade over a connection of its
// own. It is not net/http's ReverseProxy, which loses what the client sends
// before the 101 (golang/go#80875).
func (u *upstream) upgrade(w http.ResponseWriter, r *http.Request) {
	server, err := u.dial(r.Context(), "http/1.1")
	if err != nil {
		u.unreachable(w, r, err)
		return
	}
	if err := u.exchange(w, r, server); err != nil {
		server.Close()
		u.unreachable(w, r, err)
	}
}

// exchange sends the request and passes the answer on. It owns server unless
// it returns an error; after an error nothing has been written to the client.
func (u *upstream) exchange(w http.ResponseWriter, r *http.Request, server net.Conn) error {
	if err := server.SetDeadline(time.Now().Add(time.Duration(u.conf.Connect) + upgradeLimit)); err != nil {
		return err
	}
	// A client that leaves while the upstream makes up its mind ends the wait.
	stop := context.AfterFunc(r.Context(), func() { server.Close() })
	defer stop()
	out := r.Clone(r.Context())
	out.Header.Set("Connection", "Upgrade")
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		out.Header.Set("X-Forwarded-For", strings.Join(append(out.Header.Values("X-Forwarded-For"), host), ", "))
	}
	if out.ContentLength == 0 {
		out.Body = nil
	}
	if err := out.Write(server); err != nil {
		return fmt.Errorf("sending the request: %w", err)
	}
	answers := bufio.NewReader(server)
	resp, err := http.ReadResponse(answers, out)
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if err := server.SetDeadline(time.Time{}); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		defer server.Close()
		pass(w, resp)
		return nil
	}
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return fmt.Errorf("taking over the connection: %w", err)
	}
	if !stop() {
		client.Close()
		server.Close()
		return nil
	}
	if g, ok := client.(interface{ Hijacked() net.Conn }); ok {
		client = g.Hijacked()
	}
	var head bytes.Buffer
	fmt.Fprintf(&head, "HTTP/1.1 %s\r\n", resp.Status)
	if err := resp.Header.Write(&head); err != nil {
		return err
	}
	head.WriteString("\r\n")
	if _, err := head.WriteTo(client); err != nil {
		client.Close()
		server.Close()
		return nil
	}
	u.relays.Join(sniff.Replay(client, unread(buffered.Reader)), sniff.Replay(server, unread(answers)), relay.Options{})
	return nil
}

// upgradeLimit is how long an upstream may take to answer an upgrade: longer
// than the 20 s in which kas looks for a tunnel.
const upgradeLimit = 30 * time.Second

// unread is what has been read ahead.
func unread(r *bufio.Reader) []byte {
	b, err := r.Peek(r.Buffered())
	if err != nil {
		return nil // Peek of what is buffered does not fail
	}
	return b
}

// pass writes an ordinary answer.
func pass(w http.ResponseWriter, resp *http.Response) {
	defer resp.Body.Close()
	for k, v := range resp.Header {
		if k != "Connection" && k != "Transfer-Encoding" {
			w.Header()[k] = v
		}
	}
	w.WriteHeader(resp.StatusCode)
	if _, err := io.Copy(w, resp.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
}
