package kas

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// reader is an agent that takes all of a request and then answers "done".
func reader(c *call) {
	for {
		m, err := c.next()
		if err != nil {
			return
		}
		if m == nil {
			c.answer(200, "done")
			return
		}
	}
}

// TestBrokenRequests: a request that did not come whole is never answered as
// if it had succeeded.
func TestBrokenRequests(t *testing.T) {
	t.Parallel()
	k := start(t, "null", nil)
	fakeAgent(t, k.agents, reader)
	post := "POST /k8s-proxy/x HTTP/1.1\r\nHost: h\r\nAuthorization: " + bearer + "\r\n"
	for _, tt := range []struct {
		name, send string
		halfClose  bool
		want       string // status, or "" for a connection that is cut
	}{
		{"a chunk whose size is no number", post + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n", false, "400"},
		{"a body that is cut short", post + "Content-Length: 50\r\n\r\n{\"a\":1", true, ""},
		{"a chunk that is cut short", post + "Transfer-Encoding: chunked\r\n\r\n5\r\nhe", true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, r := dialAPI(t, k)
			io.WriteString(c, tt.send)
			if tt.halfClose {
				if err := c.CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			resp, err := http.ReadResponse(r, nil)
			if tt.want == "" {
				if err == nil && resp.StatusCode < 400 {
					t.Errorf("answered with %s", resp.Status)
				}
				return
			}
			if err != nil || !strings.HasPrefix(resp.Status, tt.want) {
				t.Errorf("%v, %v; want %s", resp, err, tt.want)
			}
		})
	}
	// Whatever they did, the next request is served.
	if resp, body := request(t, k, "GET", "/k8s-proxy/x", bearer, nil); resp.StatusCode != 200 || body != "done" {
		t.Errorf("afterwards: %d %q", resp.StatusCode, body)
	}
}

// TestNotUTF8: what a tunnel cannot carry is refused before it takes one.
func TestNotUTF8(t *testing.T) {
	t.Parallel()
	k := start(t, "null", nil) // no agent: taking a tunnel would be a 502
	for _, send := range []string{"GET /k8s-proxy/a%ffb HTTP/1.1\r\n", "GET /k8s-proxy/?x=%ff HTTP/1.1\r\n", "GET /k8s-proxy/ HTTP/1.1\r\nX-A: \xff\r\n"} {
		c, r := dialAPI(t, k)
		io.WriteString(c, send+"Host: h\r\nAuthorization: "+bearer+"\r\n\r\n")
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 400 {
			t.Errorf("%q: %v, %v; want 400", send, resp, err)
		}
	}
}

// TestHalfClosedSlowReader: a client that has closed its sending direction and
// reads late is not taken for gone while there is something for it.
func TestHalfClosedSlowReader(t *testing.T) {
	t.Parallel()
	k := start(t, "null", nil)
	const chunks, size = 800, 32 << 10
	fakeAgent(t, k.agents, func(c *call) {
		c.next()
		c.next()
		c.head(101, switched)
		c.trailer()
		for range chunks {
			c.upgraded(strings.Repeat("x", size))
		}
		c.end()
	})
	c, r := dialAPI(t, k)
	io.WriteString(c, upgradeRequest())
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v, %v", resp, err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	time.Sleep(4 * time.Second) // longer than two ticks of the silence that is allowed
	if n, err := io.Copy(io.Discard, r); err != nil || n != chunks*size {
		t.Errorf("%d bytes arrived of %d, %v", n, chunks*size, err)
	}
}

// TestSilentAfterHalfClose: the end that kas makes itself is a failure to the
// client, not the end of the data.
func TestSilentAfterHalfClose(t *testing.T) {
	t.Parallel()
	k := start(t, "null", nil)
	fakeAgent(t, k.agents, func(c *call) {
		c.next()
		c.next()
		c.head(101, switched)
		c.trailer()
		c.upgraded("one")
		for {
			if _, err := c.stream.Recv(); err != nil {
				return
			}
		}
	})
	c, r := dialAPI(t, k)
	io.WriteString(c, upgradeRequest())
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v, %v", resp, err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err == nil || string(got) != "one" {
		t.Errorf("got %q and %v, want one and a reset", got, err)
	}
}
