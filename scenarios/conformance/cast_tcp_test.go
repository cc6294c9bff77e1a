package conformance

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"regexp"
	"strings"

	"github.com/pires/go-proxyproto"
)

// says tells its name and a colon, then gives back what comes; at the end of
// that it ends, too.
func says(name string) func(*server, net.Conn) {
	_, name, _ = strings.Cut(name, "_")
	return func(_ *server, c net.Conn) {
		if _, err := io.WriteString(c, strings.ToLower(name)+":"); err == nil {
			_, _ = io.Copy(struct{ io.Writer }{c}, c)
		}
	}
}

// headed tells the PROXY header that it gets, which it must, and goes on as
// says.
func headed(c net.Conn, r *bufio.Reader) {
	start, err := r.Peek(1)
	if err != nil {
		return
	}
	words := ""
	if start[0] == 'P' {
		if words, err = r.ReadString('\n'); err != nil {
			return
		}
		words = strings.TrimSuffix(words, "\r\n")
	} else {
		h, err := proxyproto.Read(r)
		if err != nil {
			fmt.Fprintf(c, "no PROXY header: %v", err)
			return
		}
		words = proxyWords(h)
	}
	words = chosen.ReplaceAllString(words, "PORT")
	fmt.Fprint(c, words, ":")
	_, _ = io.Copy(struct{ io.Writer }{c}, r)
}

// chosen are ports of the system's choice.
var chosen = regexp.MustCompile(`\b[1-9]\d{4}\b`)

// proxyWords is a header of version 2 in the words of version 1.
func proxyWords(h *proxyproto.Header) string {
	if h.Command.IsLocal() {
		return "v2 LOCAL"
	}
	from, to, ok := h.TCPAddrs()
	if !ok {
		return "v2 UNKNOWN"
	}
	family := "TCP4"
	if h.TransportProtocol.IsIPv6() {
		family = "TCP6"
	}
	return fmt.Sprintf("v2 %s %s %s %d %d", family, from.IP, to.IP, from.Port, to.Port)
}

// waits answers once the client has ended its direction.
func waits(c net.Conn, r *bufio.Reader) {
	n, err := io.Copy(io.Discard, r)
	if err == nil {
		fmt.Fprintf(c, "%d bytes, then the end", n)
	}
}

// first says something, ends its direction, and notes what comes until the
// client ends its own.
func first(s *server, c net.Conn) {
	if _, err := io.WriteString(c, "the first word"); err == nil {
		s.lastWord(c, c)
	}
}

// half upgrades, ends its direction at once, and notes what comes.
func half(s *server, c net.Conn) {
	r := bufio.NewReader(c)
	_, header, _, err := readRequest(r)
	if err != nil {
		return
	}
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello ", header.Get("Upgrade"))
	s.lastWord(c, r)
}

// lastWord ends the direction to c, and notes what r has until its end.
func (s *server) lastWord(c net.Conn, r io.Reader) {
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return
	}
	b, err := io.ReadAll(r)
	end := "then the end"
	if err != nil {
		end = "then a reset"
	}
	s.heard <- fmt.Sprintf("%q, %s", b, end)
}

// sink says nothing, and never ends.
func sink(s *server, c net.Conn) {
	_, _ = io.Copy(io.Discard, c)
	<-s.stopped
}

// deaf reads the head of a request, upgrades if it is asked to, and reads nothing
// more.
func deaf(s *server, c net.Conn) {
	_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
	tp := textproto.NewReader(bufio.NewReader(c))
	if _, err := tp.ReadLine(); err != nil {
		return
	}
	header, err := tp.ReadMIMEHeader()
	if err != nil {
		return
	}
	if to := header.Get("Upgrade"); to != "" {
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello ", to)
	}
	<-s.stopped
}

// garbage speaks no HTTP.
func garbage(c net.Conn, r *bufio.Reader) {
	fmt.Fprint(c, "this is not HTTP\r\n\r\n")
	_, _ = io.Copy(io.Discard, r)
}
