package cluster

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// TestEarlyBytes sees that bytes which a client sends before it has the
// answer reach the handler, whichever of the two readers it takes, and that
// the request ends with the connection.
func TestEarlyBytes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		pick func(net.Conn, *bufio.ReadWriter) io.Reader
	}{
		{"connection", func(c net.Conn, _ *bufio.ReadWriter) io.Reader { return c }},
		{"buffer", func(_ net.Conn, b *bufio.ReadWriter) io.Reader { return b }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var open atomic.Int64
			heads := make(chan int, 2)
			ended := make(chan struct{})
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(ended)
				u, r := newUpgradable(w, r, &open, func(status int, h http.Header) { heads <- status })
				defer u.end()
				conn, buffered, err := u.Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				in := test.pick(conn, buffered)
				early := make([]byte, 5)
				if _, err := io.ReadFull(in, early); err != nil || string(early) != "early" {
					t.Errorf("early bytes %q, %v", early, err)
				}
				// A head in pieces is still one head.
				for _, piece := range []string{"HTTP/1.1 101 Switching Protocols\r\nUpgr", "ade: x\r\n\r", "\nafter"} {
					if _, err := io.WriteString(conn, piece); err != nil {
						t.Error(err)
					}
				}
				if n := open.Load(); n != 1 {
					t.Errorf("%d upgraded connections, want 1", n)
				}
				go func() { _, _ = in.Read(make([]byte, 1)) }() // as a library's reader does
				<-r.Context().Done()
			}))
			defer s.Close()
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nearly"); err != nil {
				t.Fatal(err)
			}
			resp := bufio.NewReader(conn)
			head, err := http.ReadResponse(resp, nil)
			if err != nil || head.StatusCode != 101 {
				t.Fatalf("%v, %v", head, err)
			}
			after := make([]byte, 5)
			if _, err := io.ReadFull(resp, after); err != nil || string(after) != "after" {
				t.Errorf("%q after the head, %v", after, err)
			}
			_ = conn.Close()
			select {
			case <-ended:
			case <-time.After(5 * time.Second):
				t.Fatal("the request did not end with its connection")
			}
			close(heads)
			var got []int
			for status := range heads {
				got = append(got, status)
			}
			if len(got) != 1 || got[0] != 101 || open.Load() != 0 {
				t.Errorf("heads %v, %d upgraded connections", got, open.Load())
			}
		})
	}
}
