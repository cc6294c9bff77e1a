package nginx

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// grpcOrigin is an upstream of HTTP/2 in cleartext that gives back what comes, as
// a gRPC server does.
func grpcOrigin(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	s := &http.Server{Protocols: p, Handler: http.HandlerFunc(grpcAnswer)}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-done })
	return l.Addr().String()
}

func grpcAnswer(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("X-Saw", fmt.Sprintf("%s %s host=%s", r.Method, r.RequestURI, r.Host))
	_ = rc.EnableFullDuplex()
	h.Set("Trailer", "Grpc-Status")
	_ = rc.Flush()
	b := make([]byte, 32<<10)
	for {
		n, err := r.Body.Read(b)
		if _, err := w.Write(b[:n]); err != nil {
			return
		}
		_ = rc.Flush()
		if err != nil {
			break
		}
	}
	h.Set("Grpc-Status", "0")
}

// stream is a request whose body is written as a test goes on.
type stream struct {
	*io.PipeWriter
	got    chan *http.Response // closed without one if there is none
	resp   *http.Response
	cancel context.CancelFunc
}

// answer waits for the head of the answer.
func (s *stream) answer() *http.Response {
	if s.resp == nil {
		s.resp = <-s.got
	}
	return s.resp
}

func open(t testing.TB, c *http.Client, url, host string) *stream {
	t.Helper()
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, r)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	req.Header = http.Header{"Te": {"trailers"}, "Content-Type": {"application/grpc"}, "User-Agent": {"grpc-test"}}
	s := &stream{PipeWriter: w, got: make(chan *http.Response, 1), cancel: cancel}
	go func() {
		defer close(s.got)
		if resp, err := c.Do(req); err == nil {
			s.got <- resp
		}
	}()
	t.Cleanup(func() { cancel(); w.Close(); c.CloseIdleConnections() })
	return s
}

// end is how a stream ends: what came, and whether it was whole.
func (s *stream) end() string {
	resp := s.answer()
	if resp == nil {
		return "no answer"
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Sprintf("%d, cut", resp.StatusCode)
	}
	if strings.Contains(resp.Header.Get("Content-Type"), "html") {
		body = body[:bytes.IndexByte(body, '\n')]
	}
	return fmt.Sprintf("%d %d bytes %s", resp.StatusCode, len(body), resp.Trailer.Get("Grpc-Status"))
}

// talk sends pieces of 60 KB and tells how the stream ends. wait leaves it open.
// Whether an answer begins before a limit is reached must not be left to chance.
func (s *stream) talk(pieces int, wait bool) string {
	if _, err := s.Write(make([]byte, 60_000)); err == nil {
		s.answer()
	}
	var work sync.WaitGroup
	work.Go(func() {
		for range pieces - 1 {
			if _, err := s.Write(make([]byte, 60_000)); err != nil {
				return
			}
		}
		if !wait {
			s.Close()
		}
	})
	said := s.end()
	s.cancel()
	_ = s.CloseWithError(io.ErrClosedPipe)
	work.Wait()
	return said
}

// long is a client whose requests may take as long as they like.
func long(c *http.Client) *http.Client { c.Timeout = 0; return c }

// readHead reads a head, and gives what came behind it as well.
func readHead(c net.Conn) (head, rest string, ok bool) {
	var all string
	for !strings.Contains(all, "\r\n\r\n") {
		b := make([]byte, 1000)
		n, err := c.Read(b)
		all += string(b[:n])
		if err != nil {
			return all, "", false
		}
	}
	head, rest, _ = strings.Cut(all, "\r\n\r\n")
	resp := strings.Split(head, "\r\n")
	status := strings.Fields(resp[0])[1]
	var kept []string
	for _, line := range resp[1:] {
		// Without an upgrade the embedded role closes: it has stopped reading
		// requests where one asked for it.
		if !strings.HasPrefix(line, "Date:") && (status == "101" || !strings.HasPrefix(line, "Connection:")) {
			kept = append(kept, strings.ToLower(line))
		}
	}
	return status + "\n" + sorted(kept) + "\n", rest, true
}
