package conformance

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// conn is one of the client's connections.
type conn struct {
	net.Conn
	r   *bufio.Reader
	two *http2Conn // if it speaks HTTP/2

	sending sync.WaitGroup // a lot, while the client reads
	sent    []string       // ClientHellos, for who gives them back
	told    time.Time      // when the client began to say the last thing
}

// proxyHeaders are PROXY headers by name; others are written out.
func proxyHeaders() map[string]string {
	v2 := "\r\n\r\n\x00\r\nQUIT\n"
	return map[string]string{
		"v1":            "PROXY TCP4 192.0.2.1 192.0.2.2 1001 1002\r\n",
		"v1-tcp6":       "PROXY TCP6 2001:db8::1 2001:db8::2 1001 1002\r\n",
		"v1-unknown":    "PROXY UNKNOWN\r\n",
		"v2":            v2 + "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x03\xe9\x03\xea",
		"v2-tcp6":       v2 + "\x21\x21\x00\x24\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x03\xe9\x03\xea",
		"v2-tlv":        v2 + "\x21\x11\x00\x13\xc0\x00\x02\x01\xc0\x00\x02\x02\x03\xe9\x03\xea\x04\x00\x04abcd",
		"v2-local":      v2 + "\x20\x00\x00\x00",
		"v2-local-tcp4": v2 + "\x20\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x03\xe9\x03\xea",
		"v2-unspec":     v2 + "\x21\x00\x00\x00",
		"v2-version-1":  v2 + "\x11\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\x03\xe9\x03\xea",
	}
}

// dial connects as a step's options say: at=, proxy=, sni=, alpn=, tls=, cert=. How
// TLS ended is in words.
func (c *client) dial(s *step) (net.Conn, string, error) {
	address, err := c.stage.listen(s.options["at"])
	if err != nil {
		return nil, "", err
	}
	var d net.Dialer
	k, err := d.DialContext(c.ctx, "tcp", address)
	if err != nil {
		return nil, "", err
	}
	if deadline, ok := c.ctx.Deadline(); ok {
		_ = k.SetDeadline(deadline)
	}
	if p, ok := s.options["proxy"]; ok {
		if h, ok := proxyHeaders()[p]; ok {
			p = h
		}
		if _, err := io.WriteString(k, p); err != nil {
			return nil, "", err
		}
	}
	name, named := s.options["sni"]
	alpn, offered := s.options["alpn"]
	version, versioned := s.options["tls"]
	if !named && !offered && !versioned {
		return k, "", nil
	}
	conf := &tls.Config{ServerName: name, InsecureSkipVerify: true} // who it is, is told below
	if alpn != "" {
		conf.NextProtos = strings.Split(alpn, ",")
	}
	if word, ok := s.options["cert"]; ok { // whoever the server says that it knows
		pair := c.stage.certs.pair(word)
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	if v := map[string]uint16{"1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[version]; v != 0 {
		conf.MinVersion, conf.MaxVersion = v, v
	}
	t := tls.Client(k, conf)
	if err := t.HandshakeContext(c.ctx); err != nil {
		k.Close()
		var alert tls.AlertError
		if !errors.As(err, &alert) && !strings.HasPrefix(err.Error(), "remote error: ") {
			return nil, "refused without an alert", nil
		}
		return nil, "refused: " + strings.TrimPrefix(err.Error(), "remote error: "), nil
	}
	state := t.ConnectionState()
	return t, fmt.Sprintf("%s, %s, ALPN %q\n", c.stage.certs.name(state.PeerCertificates[0]), tls.VersionName(state.Version), state.NegotiatedProtocol), nil
}

// connect opens a connection; its first word is a name for it. http2 makes it
// one of HTTP/2, and deaf one that gives no window back.
func (c *client) connect(s *step) (string, error) {
	began := time.Now()
	k, words, err := c.dial(s)
	if k == nil || err != nil {
		return words, err
	}
	c.last = s.word(0)
	if c.last == "http2" || c.last == "deaf" {
		c.last = ""
	}
	n := &conn{Conn: k, r: bufio.NewReader(k), told: began}
	if old := c.conns[c.last]; old != nil {
		old.Close()
	}
	c.conns[c.last] = n
	if !s.has("http2") {
		return words, nil
	}
	window, err := s.number("window", usualWindow)
	if err == nil {
		n.two, err = newHTTP2Conn(n, s.has("deaf"), window)
	}
	return words, err
}

var errNoConnection = errors.New("there is no connection")

// on is the connection that a step means.
func (c *client) on(s *step) (*conn, error) {
	name, ok := s.options["on"]
	if !ok {
		name = c.last
	}
	if k := c.conns[name]; k != nil {
		c.last = name
		return k, nil
	}
	return nil, errNoConnection
}

// send sends its first word; pieces=1 sends it byte by byte.
func (c *client) send(s *step) (string, error) {
	k, err := c.on(s)
	if err != nil {
		return "", err
	}
	size, err := s.number("pieces", len(s.word(0)))
	if err != nil {
		return "", err
	}
	k.sending.Wait()
	k.told = time.Now()
	write := func() {
		for text := s.word(0); text != ""; {
			n := min(size, len(text))
			if _, err := io.WriteString(k, text[:n]); err != nil {
				return // what comes back tells
			}
			text = text[n:]
		}
	}
	if len(s.word(0)) > atOneGo {
		k.sending.Go(write) // who gives it back waits for the client to read
	} else {
		write()
	}
	return "", nil
}

// flood sends until the connection is closed, while the next steps go on. Buffers
// take some of it after the front has stopped reading: what is said last is said
// later than the front's limit begins.
func (c *client) flood(s *step) (string, error) {
	k, err := c.on(s)
	if err != nil {
		return "", err
	}
	k.sending.Wait()
	k.told = time.Now()
	k.sending.Go(func() {
		for err := error(nil); err == nil; {
			_, err = k.Write(make([]byte, 64<<10)) // what comes back tells
		}
	})
	return "", nil
}

// atOneGo is how much a socket takes whoever reads.
const atOneGo = 16 << 10

// hello sends a ClientHello in the clear: what passes it on gives it back.
func (c *client) hello(s *step) (string, error) {
	k, err := c.on(s)
	if err != nil {
		return "", err
	}
	var alpn []string
	if s.options["alpn"] != "" {
		alpn = strings.Split(s.options["alpn"], ",")
	}
	text, err := clientHello(s.options["sni"], alpn)
	if err != nil {
		return "", err
	}
	k.sent = append(k.sent, text)
	next := *s
	next.words = []string{text}
	return c.send(&next)
}

func clientHello(name string, alpn []string) (string, error) {
	near, far := net.Pipe()
	defer far.Close()
	go func() {
		defer near.Close()
		_ = tls.Client(near, &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: alpn}).Handshake() // nobody answers
	}()
	head := make([]byte, 5)
	if _, err := io.ReadFull(far, head); err != nil {
		return "", err
	}
	body := make([]byte, int(head[3])<<8+int(head[4]))
	_, err := io.ReadFull(far, body)
	return string(head) + string(body), err
}

// receive reads until a text has come.
func (c *client) receive(s *step) (string, error) {
	k, err := c.on(s)
	if err != nil {
		return "", err
	}
	want := s.word(0)
	if want == "hello" && len(k.sent) > 0 {
		want = k.sent[len(k.sent)-1]
	}
	var got []byte
	for !bytes.HasSuffix(got, []byte(want)) {
		b, err := k.r.ReadByte()
		if err != nil {
			return k.quoted(got) + closed(err), nil
		}
		got = append(got, b)
	}
	return k.quoted(got), nil
}

// quoted is what came, in one line for each that it has.
func (k *conn) quoted(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	text := string(b)
	for _, hello := range k.sent {
		text = strings.ReplaceAll(text, hello, "<the ClientHello>")
	}
	if len(text) > longText {
		return fmt.Sprintf("%q… %d bytes …%q\n", text[:20], len(text), text[len(text)-20:])
	}
	return fmt.Sprintf("%q\n", text)
}

// longText is how much a transcript shows whole.
const longText = 400

// closed tells how a connection ended. Whether who closes with bytes unread is
// heard to end or to reset is left to chance.
func closed(err error) string {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "still open"
	}
	return "closed"
}

// head reads the head of an answer: what follows, receive and rest have.
func (c *client) head(s *step) (string, error) {
	k, err := c.on(s)
	if err != nil {
		return "", err
	}
	within, err := s.duration("within", 10*time.Second)
	if err != nil {
		return "", err
	}
	_ = k.SetReadDeadline(time.Now().Add(within))
	resp, err := http.ReadResponse(k.r, nil)
	if deadline, ok := c.ctx.Deadline(); ok {
		_ = k.SetReadDeadline(deadline)
	}
	if err != nil {
		return closed(err), nil
	}
	return responseHead(resp), nil
}

// end ends the sending direction.
func (c *client) end(s *step) (string, error) {
	k, err := c.on(s)
	if err != nil {
		return "", err
	}
	h, ok := k.Conn.(interface{ CloseWrite() error })
	if !ok {
		return "", fmt.Errorf("%T has no half-close", k.Conn)
	}
	k.sending.Wait()
	return "", h.CloseWrite()
}

// rest reads until the other side ends. after=DURATION is how long that shall
// take at least, from when the client said the last thing, within=DURATION at
// most; exactly tells the end from a reset, uncounted leaves out what
// came.
func (c *client) rest(s *step) (string, error) {
	k, err := c.on(s)
	if err != nil {
		return "", err
	}
	after, err := s.duration("after", 0)
	if err != nil {
		return "", err
	}
	within, err := s.duration("within", 10*time.Second)
	if err != nil {
		return "", err
	}
	if k.two != nil {
		return k.two.gone(k, within, after), nil
	}
	_ = k.SetReadDeadline(time.Now().Add(within))
	b, err := io.ReadAll(k.r)
	how := "closed"
	switch {
	case err != nil && errors.Is(err, os.ErrDeadlineExceeded):
		how = "still open"
	case s.has("exactly") && err != nil:
		how = "reset"
	case s.has("exactly"):
		how = "ended"
	}
	if took := time.Since(k.told); took < after {
		how += fmt.Sprintf(" after %v already", took.Round(10*time.Millisecond))
	}
	if s.has("uncounted") {
		return how, nil
	}
	return k.quoted(b) + how, nil
}

// quiet waits so long, in which nothing shall come and no end.
func (c *client) quiet(s *step) (string, error) {
	k, err := c.on(s)
	if err != nil {
		return "", err
	}
	d, err := time.ParseDuration(s.word(0))
	if err != nil {
		return "", err
	}
	if k.two != nil {
		return k.two.quiet(d), nil
	}
	_ = k.SetReadDeadline(time.Now().Add(d))
	b, err := k.r.Peek(1)
	if deadline, ok := c.ctx.Deadline(); ok {
		_ = k.SetReadDeadline(deadline)
	}
	switch {
	case len(b) > 0:
		return "something came", nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "open", nil
	default:
		return "closed", nil
	}
}

func (c *client) closeOne(s *step) (string, error) {
	k, err := c.on(s)
	if err != nil {
		return "", err
	}
	return "", k.Close()
}

// say connects, sends its words, ends its direction, and tells in one line what
// came. As hold it does not end and leaves the connection open, once the other
// side has said something.
func (c *client) say(s *step) (string, error) {
	k, words, err := c.dial(s)
	if k == nil || err != nil {
		return words, err
	}
	if s.verb == "hold" {
		c.conns[fmt.Sprint("held ", len(c.conns))] = &conn{Conn: k}
		b := make([]byte, 100)
		n, err := k.Read(b)
		if err != nil {
			return "closed\n", nil
		}
		return string(b[:n]) + "\n", nil
	}
	defer k.Close()
	for _, w := range s.words {
		if _, err := io.WriteString(k, w); err != nil {
			break
		}
	}
	if h, ok := k.(interface{ CloseWrite() error }); ok {
		_ = h.CloseWrite()
	}
	_ = k.SetReadDeadline(time.Now().Add(10 * time.Second))
	b, err := io.ReadAll(k)
	if len(b) == 0 {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return "still open\n", nil
		}
		return "closed\n", nil
	}
	return fmt.Sprintf("%q\n", b), nil
}
