package http1

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a server whose handler answers with path, body length and host,
// and returns a connection to it.
func serve(t *testing.T) net.Conn {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(ln.Addr(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s %d", r.URL.Path, n)
	}), Limits{Header: 5 * time.Second, Idle: 5 * time.Second, MaxHeaderBytes: 8 << 10}, slog.New(slog.DiscardHandler))
	done := make(chan struct{}, 2)
	go func() { s.Serve(); done <- struct{}{} }()
	go func() {
		if c, err := ln.Accept(); err == nil {
			s.Put(c)
		}
		done <- struct{}{}
	}()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); ln.Close(); s.HTTP().Close(); <-done; <-done })
	return c
}

// answers reads n responses, or as many as there are.
func answers(c net.Conn, n int) []string {
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(c)
	var got []string
	for range n {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return append(got, "closed")
		}
		body, _ := io.ReadAll(resp.Body)
		got = append(got, fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimSpace(string(body))))
	}
	return got
}

func TestGuard(t *testing.T) {
	t.Parallel()
	const next = "GET /next HTTP/1.1\r\nHost: h\r\n\r\n"
	for _, tt := range []struct {
		name, send string
		want       []string
	}{
		{"plain", "GET /a HTTP/1.1\r\nHost: h\r\n\r\n" + next, []string{"200 /a 0", "200 /next 0"}},
		{"length", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello" + next, []string{"200 /a 5", "200 /next 0"}},
		{"chunked with extension and trailer", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n" + next,
			[]string{"200 /a 5", "200 /next 0"}},
		{"a body that looks like a bad request", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\nA: b\r\n c: d\r\n" + next, []string{"200 /a 12", "200 /next 0"}},
		{"both framings", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			[]string{"400 kasgen: the request has both Content-Length and Transfer-Encoding (RFC 9112, section 6.1)", "closed"}},
		{"both framings, other way round and case", "POST /a HTTP/1.1\r\nHost: h\r\ntransfer-ENCODING: chunked\r\ncontent-LENGTH : 5\r\n\r\n0\r\n\r\n",
			[]string{"400 kasgen: the request has both Content-Length and Transfer-Encoding (RFC 9112, section 6.1)", "closed"}},
		{"folded", "GET /a HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n",
			[]string{"400 kasgen: a header line begins with a space: folded headers are not accepted (RFC 9112, section 5.2)", "closed"}},
		{"folded by a tab, after a good request", next + "GET /a HTTP/1.1\r\nHost: h\r\nX: a\r\n\tb\r\n\r\n",
			[]string{"200 /next 0", "400 kasgen: a header line begins with a space: folded headers are not accepted (RFC 9112, section 5.2)", "closed"}},
		{"bad in the second request of a pipeline", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhiPOST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
			[]string{"200 /a 2", "400 kasgen: the request has both Content-Length and Transfer-Encoding (RFC 9112, section 6.1)", "closed"}},
		{"lengths that differ", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
			[]string{"400 kasgen: the request has two Content-Length headers that differ", "closed"}},
		{"after an upgrade request nothing is read as one", "GET /a HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + next, []string{"200 /a 0", "closed"}},
		{"CONNECT", "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", []string{"405 kasgen: CONNECT is not served here", "closed"}},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n" + next, []string{"200 * 0", "200 /next 0"}},
		{"bare line feeds", "POST /a HTTP/1.1\nHost: h\nContent-Length: 2\n\nhi" + next, []string{"200 /a 2", "200 /next 0"}},
	} {
		for _, step := range []int{1, 7, 1 << 20} {
			t.Run(fmt.Sprintf("%s/%d", tt.name, step), func(t *testing.T) {
				t.Parallel()
				c := serve(t)
				go func() {
					for s := tt.send; s != ""; {
						n := min(step, len(s))
						if _, err := io.WriteString(c, s[:n]); err != nil {
							return // refused before its end
						}
						s = s[n:]
					}
				}()
				if diff := cmp.Diff(tt.want, answers(c, len(tt.want))); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// FuzzScanner holds the scanner to one verdict, however the bytes are cut.
func FuzzScanner(f *testing.F) {
	f.Add([]byte("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n x\r\n"), uint8(3))
	f.Add([]byte("GET / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: x\r\n\r\n"), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		var whole, parts scanner
		want := whole.feed(b)
		var got *Fault
		for rest := b; len(rest) > 0 && got == nil; {
			n := min(int(cut)+1, len(rest))
			got = parts.feed(rest[:n])
			rest = rest[n:]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("cut every %d bytes (-whole +cut):\n%s", int(cut)+1, diff)
		}
	})
}

// TestFaultWaitsForTheRequestBefore: a faulty head behind a good request in a
// pipeline must not end the good one.
func TestFaultWaitsForTheRequestBefore(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(ln.Addr(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
			io.WriteString(w, "cancelled")
		case <-time.After(100 * time.Millisecond): // long enough for the server to look at the client
			io.WriteString(w, "whole")
		}
	}), Limits{Header: 5 * time.Second, Idle: 5 * time.Second, MaxHeaderBytes: 8 << 10}, slog.New(slog.DiscardHandler))
	done := make(chan struct{})
	go func() { s.Serve(); close(done) }()
	defer func() { s.HTTP().Close(); <-done }()
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s.Put(server)
	io.WriteString(client, "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\nand more")
	want := []string{"200 whole", "400 kasgen: a header line begins with a space: folded headers are not accepted (RFC 9112, section 5.2)"}
	if diff := cmp.Diff(want, answers(client, 2)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// heads counts what a Guard tells the connection below it.
type heads struct {
	net.Conn
	n int
}

func (h *heads) HeadRead() { h.n++ }

// TestHeadRead tells of each head once it is whole, whatever pieces it came in
// and whatever follows it.
func TestHeadRead(t *testing.T) {
	t.Parallel()
	const get, put = "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n"
	for sent, want := range map[string]int{
		"":                       0,
		get[:len(get)-1]:         0,
		get:                      1,
		get + get + get[:9]:      2,
		put:                      1,
		put + "abc" + get:        2,
		put + "ab":               1,
		get + "Host : x\r\n\r\n": 2,
		"GET / HTTP/1.1\r\nUpgrade: x\r\n\r\nabc\r\n\r\n":                                       1,
		"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n" + get:         2,
		"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n" + get:       0,
		"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n": 1,
	} {
		for _, size := range []int{1, 7, 4096} {
			here, there := net.Pipe()
			go func() {
				_, _ = io.WriteString(there, sent) // the test looks at what came of it
				there.Close()
			}()
			h := &heads{Conn: here}
			g := NewGuard(h)
			p := make([]byte, size)
			for {
				if _, err := g.Read(p); err != nil {
					break
				}
			}
			here.Close()
			if h.n != want {
				t.Errorf("%q in pieces of %d: %d heads, want %d", sent, size, h.n, want)
			}
		}
	}
}
