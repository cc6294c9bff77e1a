package http1

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestHeadLine: the handler hears of a line that is too long before it ends,
// whatever pieces it comes in, and nothing is read behind it.
func TestHeadLine(t *testing.T) {
	t.Parallel()
	const limit, sent = 100, 200
	long := strings.Repeat("x", sent)
	for text, length := range map[string]func(*http.Request) int{
		"GET /" + long: func(r *http.Request) int { return len(r.URL.Path) },
		"GET / HTTP/1.1\r\nHost: h\r\nX: " + long:       func(r *http.Request) int { return len(r.Header.Get("X")) },
		"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: " + long: func(r *http.Request) int { return len(r.Header.Get("Upgrade")) },
	} {
		for _, size := range []int{1, 7, 4096} {
			here, there := net.Pipe()
			done := make(chan struct{})
			go func() {
				defer close(done)
				for rest := text; rest != ""; rest = rest[min(size, len(rest)):] {
					if _, err := io.WriteString(there, rest[:min(size, len(rest))]); err != nil {
						return // who has read enough has closed
					}
				}
			}()
			h := &heads{Conn: here}
			g := NewGuard(h)
			g.maxLine = limit
			buffered := bufio.NewReader(g)
			r, err := http.ReadRequest(buffered)
			if err != nil {
				t.Fatalf("%.30q in pieces of %d: %v", text, size, err)
			}
			if n := length(r); n <= limit/2 || n > sent+1 || h.n != 1 {
				t.Errorf("%.30q in pieces of %d: %d bytes, %d heads", text, size, n, h.n)
			}
			var fault *Fault
			if _, err := io.Copy(io.Discard, buffered); !errors.As(err, &fault) {
				t.Errorf("%.30q in pieces of %d: behind it is %v", text, size, err)
			}
			here.Close()
			<-done
			there.Close()
		}
	}
}
