package httpengine

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

// FuzzAnswer reads any bytes as an answer: no panic, no hang, and a body with a
// length has that length.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.0 301\nLocation: x\n\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x00", "HTTP/1.1 200 OK\r\nA\r\n\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := bufio.NewReaderSize(strings.NewReader(s), 16)
		h, err := readHead(r, 1<<10)
		if err != nil {
			return
		}
		length, chunked, err := h.framing(http.MethodGet)
		if err != nil {
			return
		}
		if len(h.header["Content-Length"]) > 0 && chunked {
			t.Errorf("%q has two framings", s)
		}
		n, err := io.Copy(io.Discard, answerBody(r, length, chunked, func(http.Header) {}))
		if err == nil && !chunked && length >= 0 && n != length {
			t.Errorf("%q: %d bytes of %d", s, n, length)
		}
	})
}
