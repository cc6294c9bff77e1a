package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"kasgen/internal/kasrpc/grpctool"
)

// incoming is the head of a request as kas sent it.
type incoming struct {
	method, path string
	query        url.Values
	header       http.Header
	extra        *anypb.Any
	hasBody      bool
	body         *io.PipeReader // there if hasBody
}

// upgrade is agentk's test: the literal key. readHead has made sure that there
// is no other spelling of it.
func (in *incoming) upgrade() bool { return len(in.header["Upgrade"]) > 0 }

func readHead(h *grpctool.HttpRequest_Header) (*incoming, error) {
	r := h.GetRequest()
	switch {
	case r.GetMethod() == "":
		return nil, invalid("the request has no method")
	case !strings.HasPrefix(r.GetUrlPath(), "/"):
		return nil, invalid("url_path %q does not begin with /", r.GetUrlPath())
	case h.ContentLength != nil && h.GetContentLength() < -1:
		return nil, invalid("content_length %d is below -1", h.GetContentLength())
	}
	in := &incoming{
		method: r.GetMethod(),
		path:   r.GetUrlPath(),
		query:  make(url.Values, len(r.GetQuery())),
		header: make(http.Header, len(r.GetHeader())+1),
		extra:  h.GetExtra(),
		// A kas that sends no length is an old one, whose requests may all
		// have a body.
		hasBody: h.ContentLength == nil || h.GetContentLength() != 0,
	}
	for key, v := range r.GetQuery() {
		in.query[key] = v.GetValue()
	}
	for key, v := range r.GetHeader() {
		if canonical := textproto.CanonicalMIMEHeaderKey(key); canonical != key {
			// agentk looks keys up as they are, and would miss this one.
			return nil, invalid("header key %q is not canonical (%q)", key, canonical)
		}
		in.header[key] = v.GetValue()
	}
	return in, nil
}

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, "HTTP request: "+format, args...)
}

// do sends the request to the API server and returns its answer, ready to be
// sent to kas. With status 101 the body is the connection.
func (a *Agent) do(ctx context.Context, in *incoming) (*http.Response, error) {
	transport, err := a.cluster.transportFor(in)
	if err != nil {
		return nil, err
	}
	request, err := a.cluster.newRequest(ctx, in)
	if err != nil {
		return nil, err
	}
	request.Header.Add("Via", "gRPC/1.0 "+a.userAgent)
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("asking the API server: %w", err)
	}
	if response.StatusCode == http.StatusSwitchingProtocols && !in.upgrade() {
		return nil, errors.Join(errors.New("the API server switched protocols unasked"), response.Body.Close())
	}
	if a.onRequest != nil {
		a.onRequest(Request{
			Method: in.method, Path: in.path,
			UserAgent:        in.header.Get("User-Agent"),
			UpgradeRequested: in.header.Get("Upgrade"),
			Status:           response.StatusCode,
			UpgradeAnswered:  response.Header.Get("Upgrade"),
		})
	}
	response.Header.Add("Via", response.Proto+" "+a.userAgent)
	return response, nil
}

func (c *cluster) newRequest(ctx context.Context, in *incoming) (*http.Request, error) {
	u := *c.base
	u.Path = strings.TrimSuffix(u.Path, "/") + in.path
	u.RawPath = ""
	u.RawQuery = in.query.Encode()
	// A nil *io.PipeReader must not become a reader that is not nil. With a
	// body, net/http does not know its length and sends it chunked, whatever
	// length kas named: as agentk does.
	var body io.Reader
	if in.body != nil {
		body = in.body
	}
	request, err := http.NewRequestWithContext(ctx, in.method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("building the request: %w", err)
	}
	request.Header = in.header
	return request, nil
}
