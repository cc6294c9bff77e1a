package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/net/http2"
)

// method is a call of agents that needs no agent to be refused: kas reads its
// message, finds no token and says so.
const method = "/gitlab.agent.agent_registrar.rpc.AgentRegistrar/Register"

// reply is how a call ended.
type reply struct {
	alpn    string
	answer  *answer // nil: none
	status  string  // grpc-status, "" if there was none
	message string
	first   []byte // what the server said first
	err     error
}

// call makes one call with the given ALPN offer.
func (e *endpoint) call(ctx context.Context, alpn []string, body io.Reader) reply {
	d := e.plainly()
	d.alpn = alpn
	c, err := e.dial(ctx, d)
	if err != nil {
		return reply{err: err}
	}
	defer closeQuietly(c)
	r := reply{alpn: c.ConnectionState().NegotiatedProtocol}
	heard := &recorder{Conn: c}
	cc, err := (&http2.Transport{DisableCompression: true}).NewClientConn(heard) //nolint:staticcheck // net/http's takes no connection without h2 in ALPN
	if err != nil {
		r.err, r.first = err, heard.heard()
		return r
	}
	defer closeQuietly(cc)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+e.authority()+method, body)
	if err != nil {
		r.err = err
		return r
	}
	req.ContentLength = -1 // as gRPC sends it
	req.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "User-Agent": {"kasgen-probe"}}
	resp, err := cc.RoundTrip(req)
	if err != nil {
		r.err, r.first = err, heard.heard()
		return r
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, most))
	r.answer = &answer{status: resp.StatusCode, proto: resp.Proto, header: resp.Header, body: string(text)}
	for _, h := range []http.Header{resp.Header, resp.Trailer} {
		if s := h.Get("Grpc-Status"); s != "" {
			r.status, r.message = s, h.Get("Grpc-Message")
		}
	}
	if r.status == "" {
		r.err = err
	}
	r.first = heard.heard()
	return r
}

// unary is a call with a whole message and a time limit.
func (e *endpoint) unary(ctx context.Context, alpn []string, message []byte) reply {
	ctx, cancel := context.WithTimeout(ctx, e.s.o.Timeout)
	defer cancel()
	return e.call(ctx, alpn, bytes.NewReader(framed(message)))
}

// framed is a message as gRPC sends it.
func framed(message []byte) []byte {
	head := []byte{0, byte(len(message) >> 24), byte(len(message) >> 16), byte(len(message) >> 8), byte(len(message))}
	return append(head, message...)
}

// kas says whether the reply is one that kas gives to a call without a token.
func (r reply) kas() bool {
	return r.status == "16" || r.status == "7" || r.status == "3"
}

// checkGRPC calls as current agents do.
func (e *endpoint) checkGRPC(ctx context.Context) Check {
	r := e.unary(ctx, []string{"h2"}, nil)
	if r.kas() && r.alpn == "h2" {
		return passed("kas answers a call without a token: %s", r)
	}
	c := r.explain()
	if r.kas() {
		c = failed(codeGRPC, "the listener does not take h2 in ALPN; a call is carried all the same: "+r.String(),
			"agents refuse a connection without h2 in ALPN (grpc-go from 1.67): `missing selected ALPN property`",
			"take h2 into the listener's ALPN (http2 on nginx's listen, alpn of HAProxy's bind, ssl_alpn of nginx stream, alpn in edge.yaml)")
	}
	return c
}

// explain says why a call did not get as far as kas.
func (r reply) explain() Check {
	const why = "no agent by grpcs:// can connect; they report `code = Unavailable`"
	const route = "route HTTP/2 to kas's port for agents: grpc_pass grpc://... for /gitlab.agent. in nginx, a backend with `proto h2` in HAProxy's http mode, or a TCP balancer; or give the name for gRPC with --grpc"
	var goaway http2.GoAwayError //nolint:staticcheck // it is what that returns
	var reset http2.StreamError
	switch {
	case r.answer != nil && r.status == "12":
		return failed(codeGRPC, "a gRPC server that is not kas answers: "+r.String(), "it does not know agents' calls", route)
	case r.answer != nil && r.status != "":
		return failed(codeGRPC, "the call ends with "+r.String(), "kas would say that the token is missing (status 16); a proxy on the way does not reach it", "start kas, and compare the proxy's upstream with agent.listen of kas-config.yaml")
	case r.answer != nil:
		return grpcAnswered(r.answer, why, route)
	case strings.HasPrefix(string(r.first), "HTTP/1."):
		line, _, _ := strings.Cut(string(r.first), "\r\n")
		return failed(codeGRPC, fmt.Sprintf("HTTP/2 is answered in HTTP/1.1: %q", line), why+": the listener, or what is behind it, speaks HTTP/1.1 only", route)
	case errors.As(r.err, &goaway):
		return failed(codeGRPC, fmt.Sprintf("the server ends the connection: GOAWAY %s %s", goaway.ErrCode, goaway.DebugData), why, "look at the log of who ends HTTP/2, and at its limits")
	case errors.As(r.err, &reset):
		return failed(codeGRPC, "the server resets the call: "+reset.Code.String(), why, "look at the log of who ends HTTP/2: a body limit, a time limit or a backend of HTTP/1.1")
	case r.err != nil && strings.Contains(r.err.Error(), "no application protocol"):
		return failed(codeGRPC, "the listener refuses h2 in ALPN", why, "take h2 into its ALPN; "+route)
	case r.alpn == "" && r.err != nil && len(r.first) == 0:
		return failed(codeGRPC, "the listener takes no ALPN and does not answer HTTP/2: "+r.err.Error(), why, "take h2 into its ALPN; "+route)
	default:
		return failed(codeGRPC, fmt.Sprintf("no answer: %v", r.err), why, route)
	}
}

// grpcAnswered explains an answer in HTTP without a gRPC status.
func grpcAnswered(a *answer, why, route string) Check {
	observed := "a call is answered " + a.String()
	if _, ok := a.kube(); ok && a.status < http.StatusInternalServerError {
		return failed(codeGRPC, observed, why+": HTTP/2 ends at the front, and the call goes to the port of the Kubernetes API proxy", route)
	}
	if a.wantsTLS() {
		return cleartextToTLS("a call", a)
	}
	switch a.status {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType:
		return failed(codeGRPC, observed, why+": a web server answers, there is no route for /gitlab.agent.", route)
	case http.StatusUpgradeRequired:
		return failed(codeGRPC, observed, why+": HTTP/2 ends at the front, and the call goes on as HTTP/1.1 to the port that takes WebSockets", route)
	case http.StatusUnauthorized:
		return failed(codeGRPC, observed, why+": HTTP/2 ends at the front, and the call goes to a login", route)
	case 464: // AWS: the target group's protocol version does not fit
		return failed(codeGRPC, observed, why+": an AWS load balancer whose target group has another protocol version", "set the target group's protocol version to gRPC")
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return failed(codeGateway, observed, why+": the front does not reach kas, or speaks HTTP/1.1 to it", "start kas; compare the front's upstream with agent.listen, and grpc with grpcs; "+route)
	case http.StatusRequestEntityTooLarge:
		return failed(codeBody, observed, "a gRPC stream is one request body", "set client_max_body_size 0")
	default:
		return failed(codeGRPC, observed, why, route)
	}
}

func (r reply) String() string {
	names := map[string]string{"0": "OK", "3": "InvalidArgument", "7": "PermissionDenied", "12": "Unimplemented", "14": "Unavailable", "16": "Unauthenticated"}
	text := "status " + r.status
	if n := names[r.status]; n != "" {
		text = n
	}
	if r.message != "" {
		text += " (" + r.message + ")"
	}
	return text
}

// checkOtherALPN calls as older agents do, which some fronts take for
// something else. Current agents do without, so it is a warning.
func (e *endpoint) checkOtherALPN(alpn []string) checker {
	return func(ctx context.Context) Check {
		r := e.unary(ctx, alpn, nil)
		if r.kas() {
			return passed("%s", r)
		}
		c := r.explain().warned()
		if r.answer == nil && r.alpn != "" && len(alpn) > 0 || len(alpn) == 0 || c.Code == codeGRPC {
			c.Code = codeGRPCALPN
		}
		c.Why = "agents built on grpc-go before 1.67 offer no h2 where their settings leave it out, and older proxies in front drop it; current agents offer h2 and are not touched"
		c.Fix = "nothing for current agents; else look at the first bytes rather than at ALPN, as the edge of topology A does"
		return c
	}
}

// grpcBody is more than nginx's default for a body, and less than gRPC's for a
// message.
const grpcBody = 3 << 19

// checkGRPCBody sends a message over a megabyte, as agents' streams come to.
func (e *endpoint) checkGRPCBody(ctx context.Context) Check {
	// Field 1000, of which nobody knows, so that the message is a message.
	message := append([]byte{0xc2, 0x3e, 0x80 | (grpcBody & 0x7f), 0x80 | (grpcBody >> 7 & 0x7f), 0x80 | (grpcBody >> 14 & 0x7f), grpcBody >> 21}, make([]byte, grpcBody)...)
	r := e.unary(ctx, []string{"h2"}, message)
	if r.status != "" {
		return passed("a message of %d KiB: %s", grpcBody>>10, r)
	}
	observed := fmt.Sprintf("a message of %d KiB is answered ", grpcBody>>10)
	if r.answer != nil {
		observed += r.answer.String()
	} else {
		observed = fmt.Sprintf("a message of %d KiB breaks the call: %v", grpcBody>>10, r.err)
	}
	return failed(codeBody, observed, "an agent's gRPC stream is one request body that lasts for hours: the limit resets it, and whatever passes through it, again and again",
		"set client_max_body_size 0 in the server that has grpc_pass")
}

// recorder keeps what was heard first.
type recorder struct {
	net.Conn
	mu    sync.Mutex
	first []byte
}

func (c *recorder) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if left := 64 - len(c.first); left > 0 {
		c.first = append(c.first, p[:min(n, left)]...)
	}
	return n, err
}

func (c *recorder) heard() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.first)
}
