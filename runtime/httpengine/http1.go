package httpengine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"kasgen/runtime/relay"
	"kasgen/runtime/silence"
)

// HTTP1Options are a caller's wishes for one request.
type HTTP1Options struct {
	Client ClientLimits
	// OnResponse sees the final answer, 101 included, before it is passed on,
	// and may change its status and header. If it returns true it has
	// answered the client itself, and the upstream's answer is dropped.
	OnResponse func(*Response) (handled bool)
	// Buffer lets an answer wait until there is more of it; otherwise each
	// piece is passed on at once.
	Buffer bool
	// Tunnel replaces the upstream's Read in an upgraded stream, which ends
	// when no byte has passed for so long, in either direction.
	Tunnel time.Duration
	// Ends is what follows when one side of an upgraded stream has ended its
	// direction.
	Ends relay.Ends
	// OwnConnection passes the upstream's own Connection header on with a 101,
	// as HAProxy does; otherwise it is "upgrade", as nginx has it.
	OwnConnection bool
	// Upgraded is called at the end of a stream that the request has become,
	// if not nil: HTTP1 returns when the stream begins. It is called once, if
	// OnResponse let a 101 through and HTTP1 returns no Failure.
	Upgraded func()
}

// HTTP1 sends a request on as HTTP/1.1, over a connection of its own, and
// passes the answer on. A request that carries Upgrade may be answered with
// 101; then the connections are joined.
func (u *Upstream) HTTP1(w http.ResponseWriter, r *http.Request, out Outgoing, o HTTP1Options) *Failure {
	request, err := appendRequest(nil, &out)
	if err != nil {
		return &Failure{Stage: StageRequest, Status: http.StatusBadRequest, Err: err}
	}
	conn, failure := u.connect(r.Context(), "")
	if failure != nil {
		return failure
	}
	x := &exchange{up: u, side: newClientSide(w, r, o.Client), out: out, options: o, conn: conn}
	return x.run(request)
}

// exchange is one request and its answer on one connection.
type exchange struct {
	up      *Upstream
	side    *clientSide
	out     Outgoing
	options HTTP1Options
	conn    net.Conn
	answers *bufio.Reader
	silent  *silence.Watch // the upstream's
	stalled *silence.Watch // a write that it does not take
	body    *body
	sent    chan error // the result of sending the body, once
}

func (x *exchange) run(request []byte) *Failure {
	cut := func() { x.conn.Close() }
	x.silent, x.stalled = silence.New(x.up.Read, cut), silence.New(x.up.Send, cut)
	defer x.silent.Stop()
	defer x.stalled.Stop()
	defer x.side.release()
	x.answers = bufio.NewReader(readerFunc(x.read))
	// A client that leaves ends the exchange.
	stop := context.AfterFunc(x.side.r.Context(), cut)
	handed := false
	defer func() {
		stop()
		if !handed {
			x.conn.Close()
		}
		if x.body != nil {
			x.body.settle()
			<-x.sent
		}
	}()
	if x.up.EitherWay {
		x.silent.Start()
	}
	if _, err := x.write(request); err != nil {
		return x.failed(fmt.Errorf("sending the request: %w", err))
	}
	x.sendBody()
	h, failure := x.head()
	if failure != nil {
		return failure
	}
	if h.status == http.StatusSwitchingProtocols {
		failure, handed = x.upgrade(h, stop)
		return failure
	}
	return x.pass(h)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (x *exchange) read(p []byte) (int, error) {
	n, err := x.conn.Read(p)
	if n > 0 {
		x.silent.Touch()
	}
	return n, err
}

func (x *exchange) write(p []byte) (int, error) {
	x.stalled.Start()
	n, err := x.conn.Write(p)
	x.stalled.Pause()
	if x.up.EitherWay {
		x.silent.Touch()
	}
	return n, err
}

// sendBody sends the body while the answer is waited for: an upstream may
// answer before it has it all.
func (x *exchange) sendBody() {
	if !x.out.hasBody() {
		x.silent.Start()
		return
	}
	x.body = newBody(x.side, x.out.Body)
	x.sent = make(chan error, 1)
	go func() {
		err := x.copyBody()
		switch {
		case err == nil:
			x.silent.Start()
		case x.body.fault() != nil:
			x.conn.Close() // the request will never be complete
		}
		// Where only the upstream does not take it, there may be an answer
		// that says why.
		x.sent <- err
		close(x.sent)
	}()
}

// Room for a chunk's size before, and its end behind, a piece of a body.
const (
	pieceSize   = 32 << 10
	chunkBefore = 6 // "8000\r\n"
	chunkBehind = 2
)

var pieces = sync.Pool{New: func() any {
	b := make([]byte, chunkBefore+pieceSize+chunkBehind)
	return &b
}}

func (x *exchange) copyBody() error {
	piece := pieces.Get().(*[]byte)
	defer pieces.Put(piece)
	var from io.Reader = x.body
	if x.out.ContentLength > 0 {
		from = &exactly{r: x.body, left: x.out.ContentLength}
	}
	for {
		n, err := from.Read((*piece)[chunkBefore : chunkBefore+pieceSize])
		if n > 0 {
			b := (*piece)[chunkBefore : chunkBefore+n]
			if x.out.ContentLength < 0 {
				b = asChunk(*piece, n)
			}
			if _, err := x.write(b); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) && x.out.ContentLength < 0 {
			_, err = x.write([]byte("0\r\n\r\n"))
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			x.body.fail(err)
		}
		if err != nil {
			return err
		}
	}
}

// asChunk makes a chunk of the n bytes behind the room for its size.
func asChunk(piece []byte, n int) []byte {
	size := fmt.Appendf(make([]byte, 0, chunkBefore), "%x\r\n", n)
	begin := chunkBefore - len(size)
	copy(piece[begin:], size)
	copy(piece[chunkBefore+n:], "\r\n")
	return piece[begin : chunkBefore+n+chunkBehind]
}

// maxInterim is how many answers of 1xx may come before the final one.
const maxInterim = 5

// head reads up to the head of the final answer.
func (x *exchange) head() (*head, *Failure) {
	size := x.up.MaxHeaderBytes
	if size == 0 {
		size = defaultMaxHeader
	}
	for range maxInterim + 1 {
		h, err := readHead(x.answers, size)
		if err != nil {
			return nil, x.failed(err)
		}
		if h.status >= 200 || h.status == http.StatusSwitchingProtocols {
			x.silent.Start()
			return h, nil
		}
		if h.status != http.StatusContinue { // which the client has had from net/http
			x.interim(h)
		}
	}
	return nil, x.failed(errors.New("the upstream answers 1xx for ever"))
}

// interim passes an answer of 1xx on.
func (x *exchange) interim(h *head) {
	if x.side.r.ProtoMajor == 1 && x.side.r.ProtoMinor == 0 {
		return
	}
	removeConnection(h.header)
	to := x.side.w.Header()
	before := to.Clone()
	clear(to)
	for k, v := range h.header {
		to[k] = v
	}
	x.side.w.WriteHeader(h.status)
	clear(to)
	for k, v := range before {
		to[k] = v
	}
}

// failed tells who is to blame that there is no answer.
func (x *exchange) failed(err error) *Failure {
	left := x.side.r.Context().Err() != nil
	if x.body != nil {
		if left {
			// To net/http a client that is late has left. The body knows
			// better, and ends with the client.
			<-x.sent
		}
		if fault := x.body.fault(); fault != nil {
			return unread(fault)
		}
	}
	if left {
		return gone(x.side.r.Context())
	}
	f := &Failure{Stage: StageResponse, Status: http.StatusBadGateway, Err: err}
	if x.silent.Expired() || x.stalled.Expired() {
		f.Status = http.StatusGatewayTimeout
		f.Err = fmt.Errorf("the upstream took too long: %w", err)
	}
	return f
}

// pass passes an ordinary answer on.
func (x *exchange) pass(h *head) *Failure {
	length, chunked, err := h.framing(x.out.Method)
	if err != nil {
		return x.failed(err)
	}
	removeConnection(h.header)
	if x.side.r.ProtoMajor > 1 {
		delete(h.header, "Upgrade")
	}
	var trailer http.Header
	resp := &Response{Status: h.status, Header: h.header, ContentLength: length}
	if chunked {
		resp.ContentLength = -1
	}
	resp.Body = answerBody(x.answers, length, chunked, func(t http.Header) { trailer = t })
	if x.options.OnResponse != nil && x.options.OnResponse(resp) {
		return nil
	}
	x.side.set(resp.Header)
	if err := copyAnswer(x.side, resp, !x.options.Buffer); err != nil {
		x.conn.Close()
		x.side.cut()
	}
	x.side.trailer(trailer)
	return nil
}

// copyAnswer writes head and body. An error means that the answer is not
// complete, though it may have begun.
func copyAnswer(side *clientSide, resp *Response, flush bool) error {
	if resp.ContentLength == 0 {
		// Nothing comes but the end; the head is sent with it.
		_, err := resp.Body.Read(make([]byte, 1))
		if err != io.EOF {
			return fmt.Errorf("reading the end of the answer: %w", err)
		}
		side.w.WriteHeader(resp.Status)
		return nil
	}
	if err := side.head(resp.Status, flush); err != nil {
		return err
	}
	piece := pieces.Get().(*[]byte)
	defer pieces.Put(piece)
	for {
		n, err := resp.Body.Read(*piece)
		if n > 0 {
			if err := side.write((*piece)[:n], flush); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
