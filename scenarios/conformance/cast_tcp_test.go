package conformance

import (
	"bufio"
	"fmt"
	"io"
	"net"
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
	h, err := proxyproto.Read(r)
	if err != nil {
		fmt.Fprintf(c, "no PROXY header: %v", err)
		return
	}
	fmt.Fprint(c, proxyWords(h), ":")
	_, _ = io.Copy(struct{ io.Writer }{c}, r)
}

func proxyWords(h *proxyproto.Header) string {
	words := fmt.Sprintf("PROXY v%d ", h.Version)
	if h.Command.IsLocal() {
		return words + "LOCAL"
	}
	from, to, ok := h.TCPAddrs()
	if !ok {
		return words + "UNKNOWN"
	}
	family := "TCP4"
	if h.TransportProtocol.IsIPv6() {
		family = "TCP6"
	}
	return fmt.Sprintf("%s%s %s %s", words, family, endWords(from), endWords(to))
}

// endWords leave out ports of the system's choice.
func endWords(a *net.TCPAddr) string {
	if a.Port > 1024 && a.IP.IsLoopback() {
		return a.IP.String()
	}
	return a.String()
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
	if _, err := io.WriteString(c, "the first word"); err != nil {
		return
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return
	}
	b, err := io.ReadAll(c)
	end := "then the end"
	if err != nil {
		end = "then a reset"
	}
	s.heard <- fmt.Sprintf("%q, %s", b, end)
}

// sink says nothing.
func sink(_ net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) }

// garbage speaks no HTTP.
func garbage(c net.Conn, r *bufio.Reader) {
	fmt.Fprint(c, "this is not HTTP\r\n\r\n")
	_, _ = io.Copy(io.Discard, r)
}
