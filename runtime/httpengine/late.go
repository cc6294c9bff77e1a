package httpengine

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// headClock knows whether a connection of HTTP/1.1 is within the head of a
// request: net/http ends one whose head is late without a word.
type headClock struct {
	mu       sync.Mutex
	begun    bool // of the next head there are bytes
	heads    int  // that have been read and that no handler has yet
	handlers int  // at most 1 on HTTP/1.1
}

func (h *headClock) read() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heads++
}

func (h *headClock) enter() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begun = false
	h.heads--
	h.handlers++
}

func (h *headClock) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.handlers--
}

// serving tells whether a request is being answered, or is about to be.
func (h *headClock) serving() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.handlers > 0 || h.heads > 0
}

// reading tells whether a head has begun that no handler has.
func (h *headClock) reading() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.handlers == 0 && h.begun
}

// late takes what came of a read, and tells whether it was that of a head which
// did not come in time.
func (h *headClock) late(n int, err error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.handlers > 0 {
		return false
	}
	h.begun = h.begun || n > 0
	return h.begun && errors.Is(err, os.ErrDeadlineExceeded)
}

// tell gives a client that is given up a last word.
func tell(c net.Conn, word string) {
	if c.SetWriteDeadline(time.Now().Add(lingerLimit)) == nil {
		_, _ = io.WriteString(c, word) // it may have gone
	}
}
