package httpengine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kasgen/runtime/httpengine"
)

// scripted is an upstream that gives each connection to a function, after the
// head of its request. The function's return closes the connection.
func scripted(t testing.TB, f func(c *net.TCPConn, r *bufio.Reader, req *http.Request)) string {
	t.Helper()
	ln := listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				f(c.(*net.TCPConn), r, req)
			}()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}

func dial(t testing.TB, address string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

// heard is an answer as a client hears it.
type heard struct {
	Status  int
	Body    string
	Trailer string
	Cut     bool // it broke off
}

func hear(t testing.TB, r *bufio.Reader, method string) heard {
	t.Helper()
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return heard{Cut: true}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if resp.StatusCode >= 400 && resp.Header.Get("X-Content-Type-Options") != "" {
		b = nil // our own words
	}
	return heard{Status: resp.StatusCode, Body: string(b), Trailer: resp.Trailer.Get("X-Tail"), Cut: err != nil}
}

const plainGet = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"

// TestAnswers is what becomes of an upstream's bytes.
func TestAnswers(t *testing.T) {
	t.Parallel()
	const reset = "\x00" // as the last byte: end by RST
	tests := map[string]struct {
		request, answer string
		want            heard
	}{
		"length":                               {plainGet, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", heard{Status: 200, Body: "ab"}},
		"length twice":                         {plainGet, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", heard{Status: 200, Body: "ab"}},
		"two lengths":                          {plainGet, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab", heard{Status: 502}},
		"length of +2":                         {plainGet, "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab", heard{Status: 502}},
		"until the end":                        {plainGet, "HTTP/1.1 200 OK\r\n\r\nab", heard{Status: 200, Body: "ab"}},
		"of HTTP/1.0":                          {plainGet, "HTTP/1.0 200 OK\r\n\r\nab", heard{Status: 200, Body: "ab"}},
		"chunked":                              {plainGet, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n", heard{Status: 200, Body: "ab"}},
		"trailer":                              {plainGet, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Tail\r\n\r\n1\r\na\r\n0\r\nX-Tail: t\r\n\r\n", heard{Status: 200, Body: "a", Trailer: "t"}},
		"both":                                 {plainGet, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", heard{Status: 502}},
		"coding unknown":                       {plainGet, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", heard{Status: 502}},
		"chunked in HTTP/1.0":                  {plainGet, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", heard{Status: 502}},
		"no HTTP":                              {plainGet, "SSH-2.0-OpenSSH\r\n", heard{Status: 502}},
		"no status":                            {plainGet, "HTTP/1.1 abc\r\n\r\n", heard{Status: 502}},
		"folded":                               {plainGet, "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", heard{Status: 502}},
		"NUL":                                  {plainGet, "HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\n", heard{Status: 502}},
		"too large":                            {plainGet, "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 65<<10) + "\r\n\r\n", heard{Status: 502}},
		"nothing":                              {plainGet, "", heard{Status: 502}},
		"half a head":                          {plainGet, "HTTP/1.1 200 OK\r\nA: b\r\n", heard{Status: 502}},
		"reset":                                {plainGet, reset, heard{Status: 502}},
		"101 unasked":                          {plainGet, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", heard{Status: 502}},
		"100 and 200":                          {plainGet, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", heard{Status: 200, Body: "a"}},
		"100 for ever":                         {plainGet, strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 20), heard{Status: 502}},
		"204":                                  {plainGet, "HTTP/1.1 204 No Content\r\n\r\n", heard{Status: 204}},
		"304":                                  {plainGet, "HTTP/1.1 304 Not Modified\r\n\r\n", heard{Status: 304}},
		"HEAD":                                 {"HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", heard{Status: 200}},
		"empty":                                {plainGet, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", heard{Status: 200}},
		"length cut":                           {plainGet, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", heard{Status: 200, Body: "ab", Cut: true}},
		"chunk cut":                            {plainGet, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nab", heard{Status: 200, Body: "ab", Cut: true}},
		"last chunk cut":                       {plainGet, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", heard{Status: 200, Body: "ab", Cut: true}},
		"trailer cut":                          {plainGet, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-T", heard{Status: 200, Body: "ab", Cut: true}},
		"chunk size wrong":                     {plainGet, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\nab", heard{Status: 200, Cut: true}},
		"end by reset":                         {plainGet, "HTTP/1.1 200 OK\r\n\r\n" + reset, heard{Status: 200, Cut: true}},
		"end by reset to a client of HTTP/1.0": {"GET /x HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n" + reset, heard{Status: 200, Cut: true}},
		"cut to a client of HTTP/1.0":          {"GET /x HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n", heard{Status: 200, Cut: true}},
		"until the end, of HTTP/1.0":           {"GET /x HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", heard{Status: 200, Body: "ab"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told := make(chan struct{})
			address := scripted(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
				text, abort := strings.CutSuffix(tt.answer, reset)
				io.WriteString(c, text)
				if abort {
					if text != "" {
						<-told // a reset overtakes what has not been read
					}
					_ = c.SetLinger(0)
				}
			})
			o := httpengine.HTTP1Options{OnResponse: func(*httpengine.Response) bool { close(told); return false }}
			_, front := serve(t, http1To(to(address), o), both())
			c := dial(t, front)
			io.WriteString(c, tt.request)
			method, _, _ := strings.Cut(tt.request, " ")
			if diff := cmp.Diff(tt.want, hear(t, bufio.NewReader(c), method)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestInterim passes an early hint on.
func TestInterim(t *testing.T) {
	t.Parallel()
	address := scripted(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
		io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: y\r\n\r\n")
	})
	_, front := serve(t, http1To(to(address), httpengine.HTTP1Options{}), both())
	c := dial(t, front)
	io.WriteString(c, plainGet)
	r := bufio.NewReader(c)
	hint, err := http.ReadResponse(r, nil)
	if err != nil || hint.StatusCode != 103 || hint.Header.Get("Link") != "</a>" {
		t.Fatalf("%v, %v", hint, err)
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != 200 || resp.Header.Get("Link") != "" || resp.Header.Get("X") != "y" {
		t.Fatalf("%v, %v", resp, err)
	}
}

// TestHeaders is what an answer's header loses and gains.
func TestHeaders(t *testing.T) {
	t.Parallel()
	address := scripted(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nDate: now\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nX-A: 1\r\nx-a: 2\r\n\r\n<html>")
	})
	o := httpengine.HTTP1Options{OnResponse: func(r *httpengine.Response) bool { r.Header.Set("X-Added", "1"); return false }}
	_, front := serve(t, http1To(to(address), o), both())
	c := dial(t, front)
	io.WriteString(c, plainGet)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := http.Header{"Date": {"now"}, "X-A": {"1", "2"}, "X-Added": {"1"}}
	if diff := cmp.Diff(want, resp.Header); diff != "" {
		t.Error(diff)
	}
}

// TestFlush reads the first piece of an answer before there is a second.
func TestFlush(t *testing.T) {
	t.Parallel()
	more := make(chan struct{})
	address := scripted(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nfirst")
		<-more
		io.WriteString(c, "second")
	})
	_, front := serve(t, http1To(to(address), httpengine.HTTP1Options{}), both())
	c := dial(t, front)
	io.WriteString(c, plainGet)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != "first" {
		t.Fatalf("%q, %v", b, err)
	}
	close(more)
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "second" {
		t.Fatalf("%q, %v", b, err)
	}
}

// TestRequestOnTheWire is the request byte for byte, but for the order of its
// headers.
func TestRequestOnTheWire(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ request, want string }{
		"plain":   {"GET /a%2fb/../?%zz HTTP/1.1\r\nHost: H\r\nTE: trailers\r\nConnection: x\r\n\r\n", "GET /a%2fb/../?%zz HTTP/1.1\r\nHost: H\r\n|Connection: x|Te: trailers||"},
		"length":  {"PUT / HTTP/1.1\r\nHost: H\r\nContent-Length: 2\r\n\r\nab", "PUT / HTTP/1.1\r\nHost: H\r\n|Content-Length: 2||ab"},
		"chunked": {"PUT / HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", "PUT / HTTP/1.1\r\nHost: H\r\n|Transfer-Encoding: chunked||2\r\nab\r\n0\r\n\r\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ln := listen(t)
			_, front := serve(t, http1To(to(ln.Addr().String()), httpengine.HTTP1Options{}), both())
			c := dial(t, front)
			io.WriteString(c, tt.request)
			up, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer up.Close()
			begin, rest, _ := strings.Cut(tt.want, "|")
			head, body, _ := strings.Cut(rest, "||")
			size := len(begin) + len(body) + 2
			if head != "" {
				size += len(head) + 2 + strings.Count(head, "|")
			}
			b := make([]byte, size)
			if _, err := io.ReadFull(up, b); err != nil {
				t.Fatalf("%q, %v", b, err)
			}
			got := string(b)
			if !strings.HasPrefix(got, begin) || !strings.HasSuffix(got, "\r\n\r\n"+body) {
				t.Errorf("got %q", got)
			}
			for line := range strings.SplitSeq(head, "|") {
				if !strings.Contains(got, "\r\n"+line+"\r\n") {
					t.Errorf("got %q without %q", got, line)
				}
			}
			fmt.Fprint(up, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			if got := hear(t, bufio.NewReader(c), "GET"); got.Status != 200 {
				t.Errorf("%+v", got)
			}
		})
	}
}
