package probe

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// request is one request as it goes over the wire.
type request struct {
	method, path string
	header       [][2]string
	body         []byte
	token        bool // with credentials, and so over a verified connection only
	late         bool // the body goes only if the head alone gets no answer
}

// answer is what came back.
type answer struct {
	status int
	proto  string
	header http.Header
	body   string // its beginning
}

// errHTTP2 says that the other end speaks HTTP/2 to who speaks HTTP/1.1.
var errHTTP2 = errors.New("the answer is HTTP/2, to a request of HTTP/1.1")

// most is as much of a body as is looked at.
const most = 16 << 10

// exchange sends a request on a connection of its own and reads the answer.
func (e *endpoint) exchange(ctx context.Context, r request) (*answer, error) {
	a, c, err := e.open(ctx, r)
	if c != nil {
		closeQuietly(c)
	}
	return a, err
}

// stream is a connection behind the head of an answer.
type stream struct {
	net.Conn
	r *bufio.Reader
}

func (s *stream) Read(p []byte) (int, error) { return s.r.Read(p) }

// open is exchange, and keeps the connection if it was upgraded.
func (e *endpoint) open(ctx context.Context, r request) (*answer, *stream, error) {
	d := e.plainly()
	d.verify = r.token
	c, err := e.dial(ctx, d)
	if err != nil {
		return nil, nil, err
	}
	a, s, err := e.send(ctx, c, r)
	if s == nil {
		closeQuietly(c)
	}
	return a, s, err
}

// send is one exchange on c, which stays open only if it was upgraded.
func (e *endpoint) send(ctx context.Context, c net.Conn, r request) (*answer, *stream, error) {
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if err := c.SetDeadline(time.Now().Add(e.s.o.Timeout)); err != nil {
		return nil, nil, err
	}
	// The answer may come before all of the body has gone, and the rest then
	// goes nowhere: what was answered counts.
	sent, heard := make(chan error, 1), make(chan struct{})
	go func() { sent <- e.write(c, r, heard) }()
	br := bufio.NewReader(c)
	a, resp, err := readHead(br, r.method)
	close(heard)
	if err != nil {
		c.Close()
		if werr := <-sent; werr != nil && !errors.Is(err, errHTTP2) && !errors.Is(werr, net.ErrClosed) {
			err = werr
		}
		return nil, nil, ended(ctx, err)
	}
	if a.status == http.StatusSwitchingProtocols {
		if err := errors.Join(<-sent, c.SetDeadline(time.Time{})); err != nil {
			c.Close()
			return nil, nil, err
		}
		return a, &stream{Conn: c, r: br}, nil
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, most)) // what came counts; it is only shown
	a.body = string(body)
	c.Close()
	<-sent
	return a, nil, nil
}

// ended is why a connection that ends with ctx failed: that it is closed says
// nothing, for it is the probe that closes it.
func ended(ctx context.Context, err error) error {
	if errors.Is(err, net.ErrClosed) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// patience is how long a head alone waits for its answer.
const patience = 500 * time.Millisecond

// write sends the request; heard is closed when something was answered.
func (e *endpoint) write(c net.Conn, r request, heard <-chan struct{}) error {
	wire := e.wire(r)
	if r.late {
		head := len(wire) - len(r.body)
		if _, err := c.Write(wire[:head]); err != nil {
			return err
		}
		t := time.NewTimer(patience)
		defer t.Stop()
		select {
		case <-heard:
			return nil
		case <-t.C:
		}
		wire = wire[head:]
	}
	_, err := c.Write(wire)
	return err
}

// wire is the request's bytes.
func (e *endpoint) wire(r request) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: kasgen-probe\r\n", r.method, r.path, e.authority())
	if r.token {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", e.s.o.Token)
	}
	if len(r.body) > 0 {
		fmt.Fprintf(&b, "Content-Length: %d\r\nContent-Type: application/json\r\n", len(r.body))
	}
	for _, h := range r.header {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	b.WriteString("\r\n")
	b.Write(r.body)
	return b.Bytes()
}

// readHead reads the head of the final answer.
func readHead(br *bufio.Reader, method string) (*answer, *http.Response, error) {
	first, err := br.Peek(5)
	if err != nil {
		return nil, nil, err
	}
	if string(first) != "HTTP/" {
		head, _ := br.Peek(9) // as much as there is
		if len(head) == 9 && (head[3] == 4 || head[3] == 7) && head[5] == 0 {
			return nil, nil, errHTTP2
		}
		return nil, nil, fmt.Errorf("the answer is no HTTP: it begins with %q", first)
	}
	for {
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			return nil, nil, fmt.Errorf("reading the answer: %w", err)
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return &answer{status: resp.StatusCode, proto: resp.Proto, header: resp.Header}, resp, nil
		}
	}
}

// kubeStatus is Kubernetes' v1 Status.
type kubeStatus struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	Reason  string `json:"reason"`
	Code    int    `json:"code"`
}

// kube is the Status in the answer's body, if it is one.
func (a *answer) kube() (kubeStatus, bool) {
	var s kubeStatus
	err := json.Unmarshal([]byte(a.body), &s)
	return s, err == nil && s.Kind == "Status"
}

// html says whether a page for people came.
func (a *answer) html() bool {
	return strings.Contains(a.header.Get("Content-Type"), "html") || strings.HasPrefix(strings.ToLower(strings.TrimSpace(a.body)), "<")
}

// from is who says that it answered, "" if nobody does.
func (a *answer) from() string {
	server := a.header.Get("Server")
	switch {
	case server != "":
		return server
	case strings.Contains(a.body, "<html><body><h1>") && a.html():
		return "a page as HAProxy writes it"
	default:
		return ""
	}
}

// String is the answer on one line.
func (a *answer) String() string {
	text := strconv.Itoa(a.status) + " " + http.StatusText(a.status)
	if f := a.from(); f != "" {
		text += " from " + f
	}
	if s, ok := a.kube(); ok {
		return text + ": " + s.Message
	}
	if a.html() {
		return text + ", an HTML page"
	}
	line, _, _ := strings.Cut(strings.TrimSpace(a.body), "\n")
	if len(line) > 200 {
		line = line[:200] + "…"
	}
	if line != "" {
		text += ": " + strconv.Quote(line)
	}
	return text
}
