package httpengine

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// appendRequest writes the head of a request.
func appendRequest(b []byte, out *Outgoing) ([]byte, error) {
	if !httpguts.ValidHeaderFieldName(out.Method) || out.Target == "" || strings.ContainsFunc(out.Target, isControlOrSpace) {
		return nil, fmt.Errorf("%q %q is no request", out.Method, out.Target)
	}
	version := "HTTP/1.1"
	if out.Version10 {
		version = "HTTP/1.0"
	}
	b = fmt.Appendf(b, "%s %s %s\r\nHost: %s\r\n", out.Method, out.Target, version, out.Host)
	for name, values := range out.Header {
		switch name {
		case "Host", "Content-Length", "Transfer-Encoding":
			continue // Outgoing says them in another place
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(v) {
				return nil, fmt.Errorf("the header %q cannot be sent", name)
			}
			b = fmt.Appendf(b, "%s: %s\r\n", name, v)
		}
	}
	if !httpguts.ValidHeaderFieldValue(out.Host) {
		return nil, fmt.Errorf("the host %q cannot be sent", out.Host)
	}
	switch {
	case out.Body == nil:
	case out.ContentLength < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	default:
		b = fmt.Appendf(b, "Content-Length: %d\r\n", out.ContentLength)
	}
	return append(b, "\r\n"...), nil
}

func isControlOrSpace(r rune) bool { return r <= ' ' || r == 0x7f }

// head is the head of an answer.
type head struct {
	status int
	reason string
	header http.Header
	minor  int // of HTTP/1
}

// lines reads lines of a head that is not longer than left.
type lines struct {
	r    *bufio.Reader
	left int
}

var errHeadSize = errors.New("the head of the answer is too large")

func (l *lines) next() (string, error) {
	var line []byte
	for {
		part, err := l.r.ReadSlice('\n')
		if l.left -= len(part); l.left < 0 {
			return "", errHeadSize
		}
		line = append(line, part...)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			if err == io.EOF && len(line) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
	}
	line = bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))
	return string(line), nil
}

// readHead reads one head, with a bound of its size in bytes.
func readHead(r *bufio.Reader, size int) (*head, error) {
	l := &lines{r: r, left: size}
	line, err := l.next()
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	version, rest, _ := strings.Cut(line, " ")
	code, reason, _ := strings.Cut(rest, " ")
	h := &head{reason: reason}
	switch version {
	case "HTTP/1.1":
		h.minor = 1
	case "HTTP/1.0":
	default:
		return nil, fmt.Errorf("the answer begins with %.40q, which is not HTTP/1", line)
	}
	if h.status, err = strconv.Atoi(code); err != nil || len(code) != 3 || h.status < 100 {
		return nil, fmt.Errorf("the answer begins with %.40q, which has no status", line)
	}
	h.header, err = l.fields()
	return h, err
}

// fields reads header lines up to the empty one.
func (l *lines) fields() (http.Header, error) {
	h := http.Header{}
	for {
		line, err := l.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("reading the answer's header: %w", err)
		}
		if line == "" {
			return h, nil
		}
		name, value, ok := strings.Cut(line, ":")
		value = textproto.TrimString(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, fmt.Errorf("the answer has the header line %.40q", line)
		}
		h.Add(name, value)
	}
}

// framing is how long the body of an answer is: length, or chunked, or, with
// -1, until the connection ends.
func (h *head) framing(method string) (length int64, chunked bool, err error) {
	coding, lengths := h.header["Transfer-Encoding"], h.header["Content-Length"]
	if len(coding) > 0 && len(lengths) > 0 {
		return 0, false, errors.New("the answer has both Content-Length and Transfer-Encoding (RFC 9112, section 6.1)")
	}
	length = -1
	for i, v := range lengths {
		n, err := strconv.ParseUint(v, 10, 63)
		if err != nil || i > 0 && int64(n) != length {
			return 0, false, fmt.Errorf("the answer has the Content-Length %s", strings.Join(lengths, ", "))
		}
		length = int64(n)
	}
	if len(coding) > 0 && (len(coding) > 1 || !strings.EqualFold(coding[0], "chunked") || h.minor == 0) {
		return 0, false, fmt.Errorf("the answer has the Transfer-Encoding %s", strings.Join(coding, ", "))
	}
	if method == http.MethodHead || h.status == http.StatusNoContent || h.status == http.StatusNotModified {
		return 0, false, nil
	}
	return length, len(coding) > 0, nil
}

// answerBody reads the body of an answer: io.EOF is its proper end, and
// anything else a failure.
func answerBody(r *bufio.Reader, length int64, chunked bool, trailer func(http.Header)) io.Reader {
	switch {
	case chunked:
		return &chunks{r: r, data: httputil.NewChunkedReader(r), trailer: trailer}
	case length >= 0:
		return &exactly{r: r, left: length}
	default:
		return r
	}
}

type exactly struct {
	r    io.Reader
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	if e.left -= int64(n); err == io.EOF && e.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

type chunks struct {
	r       *bufio.Reader
	data    io.Reader
	trailer func(http.Header)
	ended   bool
}

// maxTrailer bounds what follows a chunked body, in bytes.
const maxTrailer = 16 << 10

func (c *chunks) Read(p []byte) (int, error) {
	if c.ended {
		return 0, io.EOF
	}
	n, err := c.data.Read(p)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	t, err := (&lines{r: c.r, left: maxTrailer}).fields()
	if err != nil {
		return n, err
	}
	c.ended = true
	c.trailer(t)
	return n, io.EOF
}

// removeConnection takes out what concerns one connection only (RFC 9110,
// section 7.6.1).
func removeConnection(h http.Header) {
	for _, v := range h["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			if name = textproto.TrimString(name); name != "" && !strings.EqualFold(name, "Upgrade") {
				h.Del(name)
			}
		}
	}
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding"} {
		delete(h, name)
	}
}
