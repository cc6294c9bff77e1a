package nginx

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestWebLimits compares how requests end that take too long. The limits of the
// file are short; that an end comes at all is what is tested, for each waits
// 8 s at most.
func TestWebLimits(t *testing.T) {
	t.Parallel()
	w := newWeb(t, `
server { listen BIND0; client_header_timeout 300ms; client_body_timeout 300ms; keepalive_timeout 300ms; send_timeout 300ms; proxy_http_version 1.1;
    location / { proxy_pass http://ORIGIN; }
    location /stream { proxy_request_buffering off; proxy_pass http://ORIGIN; }
    location /read { proxy_read_timeout 300ms; proxy_pass http://ORIGIN; }
    location /page { proxy_read_timeout 300ms; error_page 504 = @late; proxy_pass http://ORIGIN; }
    location @late { return 504 "late $uri"; }
}
server { listen BIND1 proxy_protocol; client_header_timeout 300ms; return 200 x; }
`, "ORIGIN", origin(t))
	want, got := w.run(t, native), w.run(t, embedded)
	for _, tt := range []struct{ name, bind, send string }{
		{"a body that does not come", "BIND0", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345"},
		{"a streamed body that does not come", "BIND0", "POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345"},
		{"chunks that do not come", "BIND0", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"},
		{"a silent upstream", "BIND0", "GET /read/silent HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"a silent upstream after a body", "BIND0", "POST /read/silent HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345"},
		{"a page for a silent upstream", "BIND0", "GET /page/silent HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"no next request", "BIND0", "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"no PROXY header", "BIND1", ""},
		{"half a PROXY header", "BIND1", "PROXY TCP4 1.2"},
		{"nothing behind the PROXY header", "BIND1", "PROXY TCP4 1.2.3.4 5.6.7.8 90 91\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			say := func(r *running) string {
				c, err := net.Dial("tcp", r.address(tt.bind))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				began := time.Now()
				_ = c.SetDeadline(began.Add(8 * time.Second))
				_, _ = io.WriteString(c, tt.send)
				b, err := io.ReadAll(c)
				status, _, _ := strings.Cut(string(b), "\r\n")
				_, status, _ = strings.Cut(status, " ")
				status, _, _ = strings.Cut(status, " ")
				if err != nil && time.Since(began) > 7*time.Second {
					return "held"
				}
				return fmt.Sprintf("%q, then closed", status)
			}
			if diff := cmp.Diff(say(want), say(got)); diff != "" {
				t.Errorf("the embedded role differs (-nginx +embedded):\n%s", diff)
			}
		})
	}
}
