package accept

import (
	"io"
	"net"
	"time"

	"kasgen/runtime/sniff"
)

// How long, and for how many bytes, a client is heard that nobody listens to:
// net/http's own time, for the same purpose.
const (
	lingerLimit = 500 * time.Millisecond
	lingerBytes = 64 << 10
)

// LastWord tells a client something before its connection is closed. It may
// still be sending, and a close alone would reset it before it has read.
func LastWord(c net.Conn, word string) {
	if c.SetWriteDeadline(time.Now().Add(lingerLimit)) == nil {
		_, _ = io.WriteString(c, word) // it may have gone
	}
	if sniff.CloseWrite(c) == nil && c.SetReadDeadline(time.Now().Add(lingerLimit)) == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(c, lingerBytes))
	}
}
