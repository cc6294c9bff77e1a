package conformance

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"sort"
	"strconv"
	"strings"
)

// origin answers with what it got: the request line, the header in order of
// names, and the body's size. Some words in the path make it answer otherwise.
func origin(c net.Conn, r *bufio.Reader) {
	line, header, body, err := readRequest(r)
	if err != nil {
		return
	}
	var said strings.Builder
	fmt.Fprintln(&said, line)
	var names []string
	for n := range header {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		fmt.Fprintf(&said, "%s: %s\n", n, strings.Join(header[n], " | "))
	}
	if len(body) > 0 {
		fmt.Fprintf(&said, "%d bytes, sha256 %.4x\n", len(body), sha256.Sum256(body))
	}
	answer(c, r, line, header, said.String())
}

// answer is the answer by the path's words.
func answer(c net.Conn, r *bufio.Reader, line string, header textproto.MIMEHeader, said string) {
	has := func(word string) bool { return strings.Contains(line, word) }
	status, more := "200 OK", ""
	switch {
	case has("silent"):
		_, _ = io.Copy(io.Discard, r)
		return
	case has("hangup"):
		return
	case has("garbage"):
		fmt.Fprint(c, "this is not HTTP\r\n\r\n")
		return
	case has("bighead"):
		more = "X-Big: " + strings.Repeat("x", 5000) + "\r\n"
	case has("upgrade") && header.Get("Upgrade") != "":
		// The first bytes of the stream come in the packet of the 101.
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Origin: up\r\n\r\nhello ", header.Get("Upgrade"))
		if has("upgrade/ends") {
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, r)
			return
		}
		if has("upgrade/endless") {
			flood(c)
			return
		}
		if has("upgrade/hears") {
			_, _ = io.Copy(io.Discard, r)
			return
		}
		n, _ := io.Copy(struct{ io.Writer }{c}, r)
		if has("upgrade/counts") {
			fmt.Fprintf(c, " (%d bytes, then the end)", n)
		}
		return
	case has("status="):
		_, rest, _ := strings.Cut(line, "status=")
		status = rest[:3] + " Whatever"
	case has("moved"):
		status, more = "302 Found", "Location: http://"+header.Get("Host")+"/there\r\n"
	case has("relative"):
		status, more = "302 Found", "Location: /there\r\n"
	case has("headers"):
		more = "Server: origin\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nX-Powered-By: x\r\nX-Accel-Expires: 1\r\nX-Pad: p\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nETag: \"x\"\r\n"
	case has("chunked"):
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(said), said)
		return
	case has("broken"):
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
		return
	case has("pauses"):
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
		_, _ = io.Copy(io.Discard, r)
		return
	case has("watch"):
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
		_, _ = io.Copy(io.Discard, r)
		return
	case has("endless"):
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n")
		flood(c)
		return
	case has("late"):
		// It answers once it has heard the end, if it does.
		n, err := io.Copy(io.Discard, r)
		if err != nil {
			return
		}
		said = fmt.Sprintf("the end came after %d bytes\n", n)
	}
	if strings.HasPrefix(line, "HEAD ") || strings.HasPrefix(status, "204") || strings.HasPrefix(status, "304") {
		fmt.Fprintf(c, "HTTP/1.1 %s\r\n%s\r\n", status, more)
		return
	}
	fmt.Fprintf(c, "HTTP/1.1 %s\r\nContent-Type: text/x-origin\r\n%sContent-Length: %d\r\n\r\n%s", status, more, len(said), said)
}

// flood sends until nobody takes it.
func flood(c net.Conn) {
	for _, err := c.Write(nil); err == nil; {
		_, err = c.Write(make([]byte, 64<<10))
	}
}

// readRequest reads one request by the letter.
func readRequest(r *bufio.Reader) (line string, header textproto.MIMEHeader, body []byte, err error) {
	tp := textproto.NewReader(r)
	if line, err = tp.ReadLine(); err != nil {
		return
	}
	if header, err = tp.ReadMIMEHeader(); err != nil {
		return
	}
	switch {
	case header.Get("Transfer-Encoding") == "chunked":
		req, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"), r)))
		if err != nil {
			return "", nil, nil, err
		}
		body, err = io.ReadAll(req.Body)
		return line, header, body, err
	case header.Get("Content-Length") != "":
		n, err := strconv.Atoi(header.Get("Content-Length"))
		if err != nil {
			return "", nil, nil, err
		}
		body = make([]byte, n)
		_, err = io.ReadFull(r, body)
		return line, header, body, err
	}
	return
}

// named answers every request with its name.
func named(name string) func(*server, net.Conn) {
	_, name, _ = strings.Cut(name, "_")
	name = strings.ToLower(name)
	return func(_ *server, c net.Conn) {
		for r := bufio.NewReader(c); ; {
			if _, _, _, err := readRequest(r); err != nil {
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(name), name)
		}
	}
}

// broken says 503 to everybody.
func broken(c net.Conn, r *bufio.Reader) {
	if _, _, _, err := readRequest(r); err == nil {
		fmt.Fprint(c, "HTTP/1.1 503 No\r\nContent-Length: 6\r\n\r\nbroken")
	}
}

// secure speaks TLS with CERT and tells by which name it was asked.
func (c *cast) secure(_ *server, conn net.Conn) {
	s := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{c.certs.pair("CERT")}})
	defer s.Close()
	line, _, _, err := readRequest(bufio.NewReader(s))
	if err != nil {
		return
	}
	said := fmt.Sprintf("%s, name %q\n", line, s.ConnectionState().ServerName)
	fmt.Fprintf(s, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(said), said)
}
