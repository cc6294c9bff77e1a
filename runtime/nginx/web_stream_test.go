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

	"github.com/google/go-cmp/cmp"
)

// grpcOrigin is an upstream of HTTP/2 in cleartext that speaks as a gRPC server
// does, by the path's last word.
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
	h.Set("X-Saw", fmt.Sprintf("%s %s host=%s te=%s agent=%s x=%q", r.Method, r.RequestURI, r.Host, r.Header.Get("Te"), r.Header.Get("User-Agent"), r.Header["X-A"]))
	_, do, _ := strings.Cut(r.URL.Path[1:], "/")
	switch do {
	case "Unary":
		n, err := io.Copy(io.Discard, r.Body)
		h.Set("Trailer", "Grpc-Status, Grpc-Message")
		fmt.Fprintf(w, "%d %v", n, err)
		h.Set("Grpc-Status", "0")
		h.Set("Grpc-Message", "fine")
	case "TrailersOnly":
		h.Set("Grpc-Status", "5")
		w.WriteHeader(http.StatusOK)
	case "NotFound":
		w.WriteHeader(http.StatusNotFound)
	case "Silent":
		<-r.Context().Done()
	case "HeadThenSilent":
		_ = rc.Flush()
		<-r.Context().Done()
	case "Reset":
		_, _ = io.WriteString(w, "part")
		_ = rc.Flush()
		panic(http.ErrAbortHandler)
	case "ResetAtOnce":
		panic(http.ErrAbortHandler)
	default: // Echo
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
// Where both talk, whether an answer begins before a limit is reached must not
// be left to chance.
func (s *stream) talk(pieces int, wait, both bool) string {
	if both {
		if _, err := s.Write(make([]byte, 60_000)); err == nil {
			s.answer()
		}
		pieces--
	}
	var work sync.WaitGroup
	work.Go(func() {
		for range pieces {
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

// TestWebGRPC compares grpc_pass.
func TestWebGRPC(t *testing.T) {
	t.Parallel()
	w := newWeb(t, `
upstream agent { server GRPC; }
upstream dead { server DEAD; }
server { listen BIND0 http2; server_name a.example.com;
    location /plain/ { grpc_pass grpc://agent; }
    location /address/ { grpc_pass grpc://GRPC; }
    location /noscheme/ { grpc_pass agent; }
    location /set/ { grpc_set_header X-A "$host b"; grpc_set_header X-Empty ""; grpc_set_header User-Agent ""; grpc_set_header Host $host; grpc_pass grpc://agent; }
    location /short/ { grpc_read_timeout 300ms; grpc_pass grpc://agent; }
    location /body/ { client_max_body_size 100; grpc_pass grpc://agent; }
    location /bodytimeout/ { client_body_timeout 300ms; grpc_pass grpc://agent; }
    location /free/ { client_max_body_size 0; grpc_pass grpc://agent; }
    location /dead/ { grpc_pass grpc://dead; }
    location /page/ { grpc_intercept_errors on; error_page 404 =200 /ok; grpc_pass grpc://agent; }
    location /ok { return 200 ok; }
    location / { return 404 "gRPC only"; }
}
`, "GRPC", grpcOrigin(t), "DEAD", "127.0.0.1:1")
	want, got := w.run(t, native), w.run(t, embedded)
	each := func(t *testing.T, say func(t *testing.T, r *running) string) {
		t.Helper()
		if diff := cmp.Diff(say(t, want), say(t, got)); diff != "" {
			t.Errorf("the embedded role differs (-nginx +embedded):\n%s", diff)
		}
	}
	for _, path := range []string{
		"/plain/Unary", "/plain/Unary?a=%2F", "/address/Unary", "/noscheme/Unary", "/set/Unary", "/plain/TrailersOnly", "/plain/NotFound", "/page/NotFound", "/plain/Reset", "/plain/ResetAtOnce",
		"/short/Silent", "/short/HeadThenSilent", "/dead/Unary", "/plain", "/other", "/body/Unary", "/bodytimeout/Unary",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, r *running) string {
				c := h2c(r.address("BIND0"))
				defer c.CloseIdleConnections()
				req, err := http.NewRequest(http.MethodPost, "http://"+r.address("BIND0")+path, strings.NewReader("hello"))
				if err != nil {
					t.Fatal(err)
				}
				req.Host, req.Header = "a.example.com", http.Header{"Te": {"trailers"}, "X-A": {"1"}, "User-Agent": {"u"}}
				resp, err := c.Do(req)
				if err != nil {
					return "no answer"
				}
				return r.neutral(strings.ReplaceAll(words(resp), "Trailer: Grpc-Status, Grpc-Message\n", ""))
			})
		})
	}
	for _, tt := range []struct {
		name, path string
		pieces     int // of 60 KB
		wait       bool
	}{
		{"1 MiB of a stream", "/plain/Echo", 20, false},
		{"less than 1 MiB", "/plain/Echo", 15, false},
		{"no limit", "/free/Echo", 40, false},
		{"1 MiB before an answer", "/plain/Unary", 20, false},
		{"silence of the client", "/bodytimeout/Echo", 1, true},
		{"silence of the upstream", "/short/Echo", 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, r *running) string {
				s := open(t, long(h2c(r.address("BIND0"))), "http://"+r.address("BIND0")+tt.path, "a.example.com")
				return s.talk(tt.pieces, tt.wait, strings.HasSuffix(tt.path, "Echo"))
			})
		})
	}
}

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
