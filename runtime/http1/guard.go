// Package http1 makes net/http's server strict. net/http accepts two things
// that proxies in a row may read in two ways, which is how requests are
// smuggled: a request with both Content-Length and Transfer-Encoding, and
// header lines that are folded (RFC 9112, sections 6.1 and 5.2). By the time a
// handler runs no trace of them is left, so they have to be seen in the bytes.
// The package knows framing only, neither routes nor bodies. Its law: it
// follows exactly the framing that net/http follows, and where it cannot be
// sure it refuses.
package http1

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Guard is a server's connection whose requests are checked as they are read.
type Guard struct {
	net.Conn
	scan    scanner
	fault   *Fault
	refusal Refusal
	heads   HeadReader // may be nil
	maxLine int        // of a head; 0: whatever its length
	ending  []byte     // still to be read, of a head that was cut
	told    bool       // the server knows of the fault
}

// HeadReader is a connection below a Guard that hears of each head of a request
// that has been read from it, which is before a handler has the request.
type HeadReader interface{ HeadRead() }

// NewGuard checks what is read from c.
func NewGuard(c net.Conn) *Guard {
	g := &Guard{Conn: c, refusal: plain}
	g.heads, _ = c.(HeadReader)
	return g
}

// Fault is why a request was refused.
type Fault struct{ Reason string }

func (f *Fault) Error() string { return f.Reason }

// Read reads and checks. After a faulty head it returns what came before it,
// and then the fault, which makes net/http answer 400 and close.
func (g *Guard) Read(p []byte) (int, error) {
	if len(g.ending) > 0 {
		n := copy(p, g.ending)
		g.ending = g.ending[n:]
		return n, nil
	}
	if g.fault != nil {
		if len(p) == 1 {
			return 0, g.wait(p)
		}
		g.told = true
		return 0, g.fault
	}
	n, err := g.Conn.Read(p)
	if n > 0 {
		fault := g.scan.feed(p[:n])
		for ; g.scan.heads > 0; g.scan.heads-- {
			if g.heads != nil {
				g.heads.HeadRead()
			}
		}
		if fault != nil {
			g.fault = fault
			// The lines before the faulty one go through: the server answers
			// only to what it has begun to read.
			if keep := g.scan.lineStart; keep > 0 {
				return keep, nil
			}
			g.told = true
			return 0, fault
		}
		if g.maxLine > 0 && g.scan.state == inHead && g.scan.size > g.maxLine {
			g.cut()
		}
	}
	return n, err
}

// cut ends a head with a line that has become too long and is not over, so that
// the handler says what it says to a line that is too long, and says it now. It
// has to close the connection, where nothing more is read.
func (g *Guard) cut() {
	if g.scan.lines == 0 {
		g.ending = []byte(" HTTP/1.1\r\nHost:")
	}
	g.ending = append(g.ending, "\r\n\r\n"...)
	g.fault = &Fault{fmt.Sprintf("a line of the head is longer than %d bytes", g.maxLine)}
	if g.heads != nil {
		g.heads.HeadRead()
	}
}

// wait keeps a fault back while an earlier request is being answered: the
// server then reads a single byte, to see whether the client is still there,
// and takes any error for its leaving. What follows a faulty head is nobody's.
func (g *Guard) wait(p []byte) error {
	for {
		if _, err := g.Conn.Read(p); err != nil {
			return err
		}
	}
}

// Write replaces net/http's bare answer to a faulty request by one that says
// what is wrong.
func (g *Guard) Write(p []byte) (int, error) {
	if !g.told || !bytes.HasPrefix(p, []byte("HTTP/1.1 400 Bad Request")) {
		return g.Conn.Write(p)
	}
	contentType, body := g.refusal(http.StatusBadRequest, g.fault.Reason)
	answer := fmt.Sprintf("HTTP/1.1 400 Bad Request\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", contentType, len(body), body)
	if _, err := g.Conn.Write([]byte(answer)); err != nil {
		return 0, err
	}
	g.linger()
	return len(p), nil
}

// linger reads for a moment what the client still sends: closing a connection
// with unread bytes resets it, and the answer would be lost with it.
func (g *Guard) linger() {
	if g.CloseWrite() == nil && g.Conn.SetReadDeadline(time.Now().Add(lingerLimit)) == nil {
		_, _ = io.CopyN(io.Discard, g.Conn, 256<<10) // whatever ends it, the connection is closed next
	}
}

// lingerLimit is net/http's own, for the same purpose.
const lingerLimit = 500 * time.Millisecond

// Hijacked is the connection below, once no more requests are read from it.
func (g *Guard) Hijacked() net.Conn { return g.Conn }

// CloseWrite closes the sending direction.
func (g *Guard) CloseWrite() error {
	if w, ok := g.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return g.Conn.Close()
}

// maxLine bounds a line of which the guard needs the whole: a Content-Length,
// Transfer-Encoding or Upgrade header, or a chunk's size.
const maxLine = 1024

type state uint8

const (
	inHead state = iota
	inBody
	inChunkSize
	inChunkData
	inChunkEnd
	inTrailer
	opaque // upgraded: no more requests
)

// scanner follows the framing of requests across reads.
type scanner struct {
	state state
	left  int64  // of a body or chunk
	line  []byte // the beginning of a line that went on beyond a read
	size  int    // of that line
	long  bool   // line was cut at maxLine

	heads             int // that have ended and are not told of
	lines             int // of the head so far
	length            string
	coding, hasLength bool
	upgrade           bool

	lineStart int // where in the last chunk fed the current line began, 0 if before
}

func (s *scanner) feed(p []byte) *Fault {
	s.lineStart = 0
	for at := 0; at < len(p); {
		switch s.state {
		case opaque:
			return nil
		case inBody, inChunkData:
			n := min(int64(len(p)-at), s.left)
			at += int(n)
			if s.left -= n; s.left > 0 {
				continue
			}
			if s.state == inChunkData {
				s.state = inChunkEnd
			} else {
				s.reset()
			}
		default:
			end := bytes.IndexByte(p[at:], '\n')
			if end < 0 {
				s.keep(p[at:])
				return nil
			}
			line := p[at : at+end]
			s.lineStart = at
			at += end + 1
			if len(s.line) > 0 {
				s.keep(line)
				line = s.line
			}
			if fault := s.one(bytes.TrimSuffix(line, []byte("\r"))); fault != nil {
				return fault
			}
			s.line, s.size, s.long = s.line[:0], 0, false
		}
	}
	return nil
}

// keep remembers the beginning of a line that is not complete.
func (s *scanner) keep(p []byte) {
	s.size += len(p)
	room := maxLine - len(s.line)
	if len(p) > room {
		p, s.long = p[:room], true
	}
	s.line = append(s.line, p...)
}

func (s *scanner) reset() {
	*s = scanner{line: s.line[:0], heads: s.heads}
}

// one takes a whole line without its end.
func (s *scanner) one(line []byte) *Fault {
	switch s.state {
	case inHead:
		return s.head(line)
	case inChunkSize:
		size, _, _ := strings.Cut(string(line), ";")
		n, err := strconv.ParseUint(strings.TrimSpace(size), 16, 62)
		if err != nil || s.long {
			return &Fault{"the body has a chunk whose size is not a hexadecimal number"}
		}
		if s.left = int64(n); n == 0 {
			s.state = inTrailer
		} else {
			s.state = inChunkData
		}
	case inChunkEnd:
		s.state = inChunkSize
	case inTrailer:
		if len(line) == 0 {
			s.reset()
		}
	case inBody, inChunkData, opaque: // have no lines
	}
	return nil
}

func (s *scanner) head(line []byte) *Fault {
	if len(line) == 0 {
		if s.lines == 0 {
			return nil // empty lines before a request are skipped, as net/http does
		}
		return s.endOfHead()
	}
	s.lines++
	if s.lines == 1 {
		if bytes.HasPrefix(line, []byte("CONNECT ")) {
			s.upgrade = true
		}
		return nil
	}
	if line[0] == ' ' || line[0] == '\t' {
		return &Fault{"a header line begins with a space: folded headers are not accepted (RFC 9112, section 5.2)"}
	}
	// The three names that matter begin with C, T or U.
	switch line[0] | 0x20 {
	case 'c', 't', 'u':
	default:
		return nil
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return nil // net/http answers 400
	}
	name := framing(bytes.TrimSpace(line[:colon]))
	if name == "" {
		return nil
	}
	if s.long {
		return &Fault{fmt.Sprintf("the %s header is longer than %d bytes", name, maxLine)}
	}
	switch name {
	case contentLength:
		value := string(bytes.TrimSpace(line[colon+1:]))
		if s.hasLength && s.length != value {
			return &Fault{"the request has two Content-Length headers that differ"}
		}
		s.hasLength, s.length = true, value
	case transferEncoding:
		s.coding = true
	case upgrade:
		s.upgrade = true
	}
	return nil
}

// The headers that say where a request ends.
const (
	contentLength    = "Content-Length"
	transferEncoding = "Transfer-Encoding"
	upgrade          = "Upgrade"
)

// framing is which of them name is, in whatever case, or "".
func framing(name []byte) string {
	switch len(name) {
	case len(contentLength):
		if strings.EqualFold(string(name), contentLength) {
			return contentLength
		}
	case len(transferEncoding):
		if strings.EqualFold(string(name), transferEncoding) {
			return transferEncoding
		}
	case len(upgrade):
		if strings.EqualFold(string(name), upgrade) {
			return upgrade
		}
	}
	return ""
}

func (s *scanner) endOfHead() *Fault {
	if s.coding && s.hasLength {
		return &Fault{"the request has both Content-Length and Transfer-Encoding (RFC 9112, section 6.1)"}
	}
	s.heads++
	switch {
	case s.upgrade:
		// Either a 101 follows, and then these are no requests any more, or the
		// handler closes the connection after its answer: see RefuseUpgrade.
		s.state = opaque
	case s.coding:
		s.state = inChunkSize
	case s.hasLength:
		n, err := strconv.ParseUint(s.length, 10, 62)
		if err != nil {
			return &Fault{"the Content-Length header is not a number"}
		}
		if n == 0 {
			s.reset()
			return nil
		}
		s.state, s.left = inBody, int64(n)
	default:
		s.reset()
	}
	return nil
}
