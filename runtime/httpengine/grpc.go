package httpengine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"kasgen/runtime/silence"
)

// GRPCOptions are a caller's wishes for one request.
type GRPCOptions struct {
	Client ClientLimits
	// OnResponse is that of HTTP1Options.
	OnResponse func(*Response) (handled bool)
}

// GRPC sends a request on as HTTP/2, in cleartext by prior knowledge or over
// TLS, and passes the answer on: both ways at the same time, each piece at
// once, trailers included. Despite its name it carries any request, from
// clients of HTTP/1.1, too.
func (u *Upstream) GRPC(w http.ResponseWriter, r *http.Request, out Outgoing, o GRPCOptions) *Failure {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	s := &stream{up: u, side: newClientSide(w, r, o.Client), options: o, cancel: cancel}
	s.silent, s.stalled = silence.New(u.Read, s.late), silence.New(u.Send, s.late)
	defer s.silent.Stop()
	defer s.stalled.Stop()
	defer s.side.release()
	req := s.request(ctx, out)
	if s.body != nil {
		defer s.body.settle()
	}
	for again := u.Share; ; again = false {
		conn, failure := u.session(ctx, s.silent.Touch)
		if failure != nil {
			return failure
		}
		s.conn.Store(conn)
		if u.EitherWay || s.body == nil {
			s.silent.Start()
		}
		resp, err := conn.RoundTrip(req)
		if err == nil {
			defer conn.release()
			defer resp.Body.Close()
			// net/http does not look at the context while the upstream takes no
			// more of the request.
			defer context.AfterFunc(ctx, func() { _ = resp.Body.Close() })() // says nothing new
			s.silent.Start()
			return s.pass(resp)
		}
		conn.release()
		// A connection that others use may have ended before it had a stream
		// for us.
		if again && conn.Available() == 0 && ctx.Err() == nil && (s.body == nil || s.body.again()) {
			continue
		}
		failure = s.failed(err)
		if failure.Stage == StageResponse && !conn.conn.spoke.Load() {
			failure.Stage = StageSession
		}
		return failure
	}
}

// stream is one request and its answer on HTTP/2.
type stream struct {
	up      *Upstream
	side    *clientSide
	options GRPCOptions
	cancel  context.CancelCauseFunc
	conn    atomic.Pointer[session]
	silent  *silence.Watch
	stalled *silence.Watch
	body    *body // nil if there is none
}

var errTooLate = errors.New("the upstream took too long")

// late ends the stream, and with it a connection of its own, which may not take
// as much as the stream's reset. While net/http reads a body it does not look at
// the context.
func (s *stream) late() {
	s.cancel(errTooLate)
	if s.body != nil {
		_ = s.body.Close() // does not fail
	}
	if conn := s.conn.Load(); conn != nil {
		conn.abandon()
	}
}

// request builds the request for net/http.
func (s *stream) request(ctx context.Context, out Outgoing) *http.Request {
	scheme := out.Scheme
	if scheme == "" {
		if scheme = "http"; s.up.TLS != nil {
			scheme = "https"
		}
	}
	req := &http.Request{
		Method: out.Method,
		// Opaque goes out as it is.
		URL:    &url.URL{Scheme: scheme, Host: "upstream", Opaque: out.Target},
		Host:   out.Host,
		Header: s.header(out.Header),
	}
	if out.hasBody() {
		s.body = newBody(s.side, out.Body)
		s.body.before = s.stalled.Pause // it asks for more, so it has taken the last piece
		s.body.after = func(n int) {
			if n > 0 {
				s.stalled.Start()
			}
			if s.up.EitherWay {
				s.silent.Touch()
			}
		}
		s.body.ended = s.silent.Start
		req.Body, req.ContentLength = s.body, out.ContentLength
	}
	return req.WithContext(ctx)
}

// header is h without what HTTP/2 does not have (RFC 9113, section 8.2.2).
func (s *stream) header(h http.Header) http.Header {
	to := make(http.Header, len(h)+1)
	for k, v := range h {
		switch k {
		case "Host", "Content-Length", "Upgrade":
		case "Te":
			for _, t := range v {
				if strings.EqualFold(strings.TrimSpace(t), "trailers") {
					to[k] = []string{"trailers"}
				}
			}
		default:
			to[k] = v
		}
	}
	if v, ok := h["Connection"]; ok {
		to["Connection"] = v // so that what it names goes
	}
	removeConnection(to)
	if _, ok := to["User-Agent"]; !ok {
		to["User-Agent"] = []string{""} // net/http would give its own
	}
	return to
}

// failed tells who is to blame that there is no answer.
func (s *stream) failed(err error) *Failure {
	if s.body != nil {
		// net/http may have given it up before the read that failed was over.
		s.body.settle()
		if fault := s.body.fault(); fault != nil {
			return unread(fault)
		}
	}
	if s.side.r.Context().Err() != nil {
		return gone(s.side.r.Context())
	}
	f := &Failure{Stage: StageResponse, Status: http.StatusBadGateway, Err: err}
	if s.silent.Expired() || s.stalled.Expired() {
		f.Status, f.Err = http.StatusGatewayTimeout, fmt.Errorf("%w: %w", errTooLate, err)
	}
	return f
}

func (s *stream) pass(resp *http.Response) *Failure {
	body := io.Reader(touched{resp.Body, s.silent})
	answer := &Response{Status: resp.StatusCode, Header: resp.Header, Body: body, ContentLength: resp.ContentLength}
	if s.options.OnResponse != nil && s.options.OnResponse(answer) {
		return nil
	}
	s.side.set(answer.Header)
	if err := copyAnswer(s.side, answer, true); err != nil {
		s.cancel(err)
		s.side.cut()
	}
	s.side.trailer(resp.Trailer)
	return nil
}

type touched struct {
	io.Reader
	watch *silence.Watch
}

func (t touched) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	if n > 0 {
		t.watch.Touch()
	}
	return n, err
}
