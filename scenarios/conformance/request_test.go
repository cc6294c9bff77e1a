package conformance

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
	"time"
)

// request is a request on a connection of its own. Its first word is the
// target; options are host=, http=1.0 or 2, body=, and chunked and brief are
// words.
func (c *client) request(s *step) (string, error) {
	if s.options["http"] == "2" {
		return c.request2(s)
	}
	k, words, err := c.dial(s)
	if k == nil || err != nil {
		return words, err
	}
	defer k.Close()
	_ = k.SetDeadline(time.Now().Add(10 * time.Second))
	text := s.text()
	written := make(chan struct{})
	go func() { defer close(written); _, _ = io.WriteString(k, text) }() // an answer may come before
	defer func() { k.Close(); <-written }()
	resp, err := http.ReadResponse(bufio.NewReader(k), &http.Request{Method: s.verb, Close: s.closes()})
	if err != nil {
		return words + closed(err), nil
	}
	if s.has("brief") {
		return fmt.Sprintf("%s%d", words, resp.StatusCode), nil
	}
	return words + response(resp), nil
}

// usualHost is what requests ask for that name no other.
const usualHost = "kas.example.com"

// text is a request of HTTP/1.
func (s *step) text() string {
	version := s.options["http"]
	if version == "" {
		version = "1.1"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/%s\r\n", s.verb, s.word(0), version)
	name, named := s.options["host"]
	if !named {
		name = usualHost
	}
	if name != "none" {
		fmt.Fprintf(&b, "Host: %s\r\n", name)
	}
	for _, h := range s.header {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	if s.closes() {
		b.WriteString("Connection: close\r\n")
	}
	body, ok := s.options["body"]
	switch {
	case !ok:
		b.WriteString("\r\n")
	case s.has("chunked"):
		fmt.Fprintf(&b, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	default:
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	}
	return b.String()
}

// closes tells whether the request asks for the end of the connection, as those
// do that say nothing of it.
func (s *step) closes() bool {
	for _, h := range s.header {
		if h[0] == "Connection" {
			return false
		}
	}
	return true
}

// response is a whole answer as a transcript has it.
func response(resp *http.Response) string {
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.Header.Get("Content-Encoding") == "gzip" && len(body) > 0 {
		// Two programs compress differently.
		if z, zerr := gzip.NewReader(bytes.NewReader(body)); zerr == nil {
			body, err = io.ReadAll(z)
		}
	}
	var b strings.Builder
	b.WriteString(responseHead(resp))
	for line := range strings.Lines(string(body)) {
		b.WriteString("| " + strings.TrimRight(line, "\r\n") + "\n")
	}
	if err != nil {
		b.WriteString("(cut)\n")
	}
	var trailer []string
	for name, values := range resp.Trailer {
		trailer = append(trailer, fmt.Sprintf("trailer %s: %s\n", name, strings.Join(values, " | ")))
	}
	sort.Strings(trailer)
	return b.String() + strings.Join(trailer, "")
}

// responseHead is the status and the header without what differs by chance.
func responseHead(resp *http.Response) string {
	var lines []string
	for name, values := range resp.Header {
		switch name {
		case "Content-Length":
			if resp.Header.Get("Content-Encoding") == "gzip" {
				continue
			}
		case "Date", "Keep-Alive", "Last-Modified", "Etag", "Accept-Ranges":
			if name == "Etag" && values[0] == `"x"` {
				break
			}
			continue
		case "Connection":
			if resp.StatusCode != http.StatusSwitchingProtocols {
				continue // (closes) below says it
			}
		}
		lines = append(lines, name+": "+strings.Join(values, " | "))
	}
	sort.Strings(lines)
	if len(lines) > 0 {
		lines[len(lines)-1] += "\n"
	}
	status := fmt.Sprint(resp.StatusCode)
	if resp.Close && resp.ProtoMajor == 1 && !(resp.Request != nil && resp.Request.Close) {
		status += ", and closes"
	}
	return status + "\n" + strings.Join(lines, "\n")
}
