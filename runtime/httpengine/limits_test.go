package httpengine_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"kasgen/runtime/httpengine"
	"kasgen/runtime/relay"
)

const short = 100 * time.Millisecond

// untilClosed reads until the other side ends or resets.
func untilClosed(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// TestSilentUpstream is a limit before and within an answer.
func TestSilentUpstream(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		request, answer string
		either          bool
		want            heard
	}{
		"before the head":         {plainGet, "", false, heard{Status: 504}},
		"within the head":         {plainGet, "HTTP/1.1 200 OK\r\n", false, heard{Status: 504}},
		"within the body":         {plainGet, "HTTP/1.1 200 OK\r\n\r\na", false, heard{Status: 200, Body: "a", Cut: true}},
		"before the head, either": {plainGet, "", true, heard{Status: 504}},
		// The client still sends: nginx waits, HAProxy does not.
		"within the request":        {"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\na", "", true, heard{Status: 504}},
		"after a chunked request":   {"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", "", false, heard{Status: 504}},
		"answer within the request": {"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\na", "HTTP/1.1 200 OK\r\n\r\na", false, heard{Status: 200, Body: "a", Cut: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := to(scripted(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
				io.WriteString(c, tt.answer)
				untilClosed(c)
			}))
			u.Read, u.EitherWay = short, tt.either
			_, front := serve(t, http1To(u, httpengine.HTTP1Options{}), both())
			c := dial(t, front)
			io.WriteString(c, tt.request)
			if got := hear(t, bufio.NewReader(c), "GET"); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestSlowIsNotSilent lets an answer take much longer than the limit.
func TestSlowIsNotSilent(t *testing.T) {
	t.Parallel()
	u := to(scripted(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
		for range 20 {
			time.Sleep(50 * time.Millisecond)
			io.WriteString(c, "x")
		}
	}))
	u.Read = 600 * time.Millisecond
	_, front := serve(t, http1To(u, httpengine.HTTP1Options{}), both())
	if resp := get(t, front, "/"); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
}

// TestStalledUpstream takes nothing of a large request.
func TestStalledUpstream(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	u := to(scripted(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) { <-stop }))
	u.Send = short
	_, front := serve(t, http1To(u, httpengine.HTTP1Options{}), both())
	c := dial(t, front)
	go func() {
		fmt.Fprintf(c, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", 64<<20)
		_, _ = io.Copy(c, io.LimitReader(zeros{}, 64<<20))
	}()
	if got := hear(t, bufio.NewReader(c), "PUT"); got.Status != 504 {
		t.Errorf("got %+v", got)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestEarlyAnswer answers before it has the request, and does not read on.
func TestEarlyAnswer(t *testing.T) {
	t.Parallel()
	u := to(scripted(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
		io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
	}))
	_, front := serve(t, http1To(u, httpengine.HTTP1Options{}), both())
	c := dial(t, front)
	fmt.Fprintf(c, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", 64<<20, strings.Repeat("a", 1<<10))
	r := bufio.NewReader(c)
	if got := hear(t, r, "PUT"); got != (heard{Status: 413, Body: "big"}) {
		t.Errorf("got %+v", got)
	}
	if _, err := r.ReadByte(); err == nil {
		t.Error("the connection goes on, though its request did not end")
	}
}

// TestClientFaults is what a client does to its own request.
func TestClientFaults(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		send    string
		limits  httpengine.ClientLimits
		most    int64
		end     bool
		status  int
		timeout bool
	}{
		"late":          {send: "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\na", limits: httpengine.ClientLimits{Body: short}, status: 408},
		"late in chunk": {send: "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n9\r\na", limits: httpengine.ClientLimits{Body: short}, status: 408},
		"too much":      {send: "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n123456789", most: 5, status: 413},
		"bad chunk":     {send: "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", status: 400},
		"half a body":   {send: "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\na", end: true, status: 400},
	}
	for name, tt := range tests {
		for _, two := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/grpc %v", name, two), func(t *testing.T) {
				t.Parallel()
				ended := make(chan struct{})
				address := scripted(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) { untilClosed(c); close(ended) })
				if two {
					address = (&upstreamServer{}).start(t)
					close(ended)
				}
				u := to(address)
				var failure *httpengine.Failure
				done := make(chan struct{})
				_, front := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer close(done)
					out := passing(r)
					if tt.most > 0 {
						out.Body = http.MaxBytesReader(w, r.Body, tt.most)
					}
					if two {
						out.Method, out.Target = http.MethodPost, "/lab.Echo/Mute"
						out.Header.Set("Content-Type", "application/grpc")
						failure = u.GRPC(w, r, out, httpengine.GRPCOptions{Client: tt.limits})
					} else {
						failure = u.HTTP1(w, r, out, httpengine.HTTP1Options{Client: tt.limits})
					}
					answer(w, failure)
				}), both())
				c := dial(t, front)
				io.WriteString(c, tt.send)
				if tt.end {
					_ = c.CloseWrite()
				}
				<-done
				if failure == nil || failure.Stage != httpengine.StageRequest || failure.Status != tt.status {
					t.Errorf("got %v, want %d", failure, tt.status)
				}
				<-ended
			})
		}
	}
}

// TestClientLeaves ends the upstream's connection before, within and after the
// request.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ send, answer string }{
		"before the answer":  {plainGet, ""},
		"within the answer":  {plainGet, "HTTP/1.1 200 OK\r\n\r\na"},
		"within the request": {"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\na", ""},
		"asking for upgrade": {"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			came, ended := make(chan struct{}), make(chan struct{})
			u := to(scripted(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
				io.WriteString(c, tt.answer)
				close(came)
				untilClosed(c)
				close(ended)
			}))
			_, front := serve(t, http1To(u, httpengine.HTTP1Options{}), both())
			c := dial(t, front)
			io.WriteString(c, tt.send)
			<-came
			c.Close()
			<-ended
		})
	}
}

// upgraded is a client's end of an upgraded stream, whose upstream echoes.
func upgraded(t *testing.T, front string, conf *tls.Config) net.Conn {
	t.Helper()
	var c net.Conn = dial(t, front)
	if conf != nil {
		c = tls.Client(c, conf)
	}
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReaderSize(c, 16), nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v, %v", resp, err)
	}
	return c
}

func echoing(t *testing.T) string {
	return scripted(t, func(c *net.TCPConn, r *bufio.Reader, _ *http.Request) {
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(c, r)
	})
}

// TestUpgradedLimits ends a stream that is silent, and none that is not.
func TestUpgradedLimits(t *testing.T) {
	t.Parallel()
	conf, roots := certificate(t)
	for name, tt := range map[string]struct {
		tls    bool
		tunnel time.Duration
	}{"spliced": {}, "tls": {tls: true}, "tunnel": {tunnel: 400 * time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := to(echoing(t))
			u.Read = 400 * time.Millisecond
			if tt.tunnel > 0 {
				u.Read = time.Hour
			}
			o := both()
			var client *tls.Config
			if tt.tls {
				o.TLS, client = conf, &tls.Config{RootCAs: roots, ServerName: "kas.example.com"}
			}
			ended := make(chan struct{})
			_, front := serve(t, http1To(u, httpengine.HTTP1Options{Tunnel: tt.tunnel, Upgraded: func() { close(ended) }}), o)
			c := upgraded(t, front, client)
			b := make([]byte, 1)
			for range 16 { // twice the limit
				time.Sleep(50 * time.Millisecond)
				if _, err := c.Write([]byte("x")); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(c, b); err != nil {
					t.Fatalf("a stream that is not silent: %v", err)
				}
			}
			if _, err := c.Read(b); err == nil {
				t.Error("a byte came from nowhere")
			}
			<-ended
		})
	}
}

// TestEndTogether is nginx's end of an upgraded stream.
func TestEndTogether(t *testing.T) {
	t.Parallel()
	u := to(scripted(t, func(c *net.TCPConn, r *bufio.Reader, _ *http.Request) {
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
		untilClosed(c)
	}))
	_, front := serve(t, http1To(u, httpengine.HTTP1Options{Ends: relay.Together}), both())
	c := upgraded(t, front, nil)
	_ = c.(*net.TCPConn).CloseWrite()
	untilClosed(c)
}

// TestUpgradeRefused passes an ordinary answer on, and ends the connection.
func TestUpgradeRefused(t *testing.T) {
	t.Parallel()
	u := to(scripted(t, func(c *net.TCPConn, r *bufio.Reader, _ *http.Request) {
		io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
	}))
	_, front := serve(t, http1To(u, httpengine.HTTP1Options{}), both())
	c := dial(t, front)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
	r := bufio.NewReader(c)
	if got := hear(t, r, "GET"); got != (heard{Status: 403, Body: "no"}) {
		t.Errorf("got %+v", got)
	}
	if _, err := r.ReadByte(); err == nil {
		t.Error("the connection goes on")
	}
}
