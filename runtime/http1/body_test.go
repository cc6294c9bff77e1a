package http1

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

// TestBodyThatNeverEnds is a request that is answered while its client goes on
// sending nothing: it holds neither the connection nor the server's end.
func TestBodyThatNeverEnds(t *testing.T) {
	t.Parallel()
	client, server := net.Pipe()
	s := NewServer(server.LocalAddr(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no", http.StatusUpgradeRequired)
	}), Limits{Header: 100 * time.Millisecond, Idle: time.Minute, MaxHeaderBytes: 4 << 10}, slog.New(slog.DiscardHandler))
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	s.Put(server)
	go fmt.Fprint(client, "POST / HTTP/1.1\r\nHost: kas\r\nTransfer-Encoding: chunked\r\n\r\n")
	if err := client.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(client)
	if line, err := r.ReadString('\n'); err != nil || line != "HTTP/1.1 426 Upgrade Required\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Errorf("the connection is not closed: %v", err)
	}
	if err := s.HTTP().Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
