package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"golang.org/x/net/http2"
)

// checkHTTP asks for something over HTTP/1.1, and over HTTP/2 if that is what
// a client that offers both would speak.
func (e *endpoint) checkHTTP(ctx context.Context) Check {
	a, err := e.exchange(ctx, request{method: "GET", path: e.proxy + "version"})
	switch {
	case errors.Is(err, errHTTP2):
		return failed(codeHTTP2Only, "HTTP/1.1 is answered in HTTP/2",
			`agents by WebSocket report "malformed HTTP response \x00\x00\x06\x04", and nothing can be upgraded: a listener for gRPC stands where HTTP/1.1 belongs`,
			"send HTTP/1.1 to a listener that speaks it: a backend without `proto h2` in HAProxy, proxy_pass in nginx, a kas with agent.listen.websocket; or let agents come by grpcs:// only")
	case err != nil:
		return failed(codeHTTP, "a request over HTTP/1.1 gets no answer: "+err.Error(), "agents by WebSocket and kubectl speak HTTP/1.1",
			"look at whether the front's backend speaks HTTP/1.1, or TLS, or wants a PROXY header, and at the front's log")
	case a.wantsTLS(): // by who is behind the front, in the version of that one
		return passed("HTTP is answered, by who is behind the front and wants TLS")
	case a.proto != "HTTP/1.1":
		return failed(codeHTTP, "the front answers in "+a.proto, "upgrades need HTTP/1.1", "put another front in its place")
	}
	if e.prefers != "h2" {
		return passed("HTTP/1.1")
	}
	b, err := e.http2(ctx, e.proxy+"version")
	switch {
	case err != nil:
		return e.takenForGRPC("a request over it fails: " + err.Error())
	case b.status == http.StatusUnsupportedMediaType || strings.HasPrefix(b.header.Get("Content-Type"), "application/grpc"):
		return e.takenForGRPC("a request over it is answered as gRPC: " + b.String())
	case b.status != a.status && b.status != http.StatusUnauthorized:
		return e.takenForGRPC(fmt.Sprintf("a request over it is answered %s, and over HTTP/1.1 %s", b, a))
	}
	return passed("HTTP/1.1, and HTTP/2 for who prefers it")
}

func (e *endpoint) takenForGRPC(observed string) Check {
	return failed(codeALPN, "ALPN prefers h2, and "+observed, "kubectl offers h2 and http/1.1 and gets h2; what is behind takes that for gRPC of agents, or does not speak it",
		"prefer http/1.1 (alpn http/1.1,h2 on HAProxy's bind; http/1.1 before h2 in ssl_alpn and edge.yaml): agents by gRPC offer h2 alone and still get it")
}

// http2 is a GET over HTTP/2.
func (e *endpoint) http2(ctx context.Context, path string) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, e.s.o.Timeout)
	defer cancel()
	d := e.plainly()
	d.alpn = []string{"h2", "http/1.1"}
	c, err := e.dial(ctx, d)
	if err != nil {
		return nil, err
	}
	defer closeQuietly(c)
	cc, err := (&http2.Transport{DisableCompression: true}).NewClientConn(c) //nolint:staticcheck // net/http's would dial by itself
	if err != nil {
		return nil, err
	}
	defer closeQuietly(cc)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+e.authority()+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := cc.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, most)) // what came counts
	return &answer{status: resp.StatusCode, proto: resp.Proto, header: resp.Header, body: string(body)}, nil
}

// checkRedirect asks for the paths as people write them.
func (e *endpoint) checkRedirect(ctx context.Context) Check {
	paths := []string{e.agents}
	if p := strings.TrimSuffix(e.agents, "/"); p != "" {
		paths = append(paths, p)
	}
	if p := strings.TrimSuffix(e.proxy, "/"); p != "" {
		paths = append(paths, p)
	}
	for _, p := range paths {
		a, err := e.exchange(ctx, request{method: "GET", path: p})
		if err != nil {
			return failed(codeHTTP, fmt.Sprintf("GET %s: %v", p, err), "agents and kubectl get no answer either", "look at the front's log")
		}
		if a.status < 300 || a.status >= 400 {
			continue
		}
		c := redirected(p, a)
		if p != e.agents { // who writes the slash is not redirected
			c = c.warned()
		}
		return c
	}
	return passed("none for %s", strings.Join(paths, ", "))
}

func redirected(path string, a *answer) Check {
	to := a.header.Get("Location")
	c := failed(codeRedirect, fmt.Sprintf("%s is answered %d, to %s", path, a.status, to),
		"agents do not follow redirects and report `expected handshake response status code 101 but got 301`", "")
	c.Fix = "serve the path itself"
	if strings.HasSuffix(to, "/") && !strings.HasSuffix(path, "/") {
		c.Fix = "write the address with its slash at the end (wss://host/-/kubernetes-agent/), and add a `location = " + path + "` that serves it without: nginx redirects a prefix location that ends in a slash"
	} else if strings.HasPrefix(to, "http:") {
		c.Fix = "have the front know that the client came by TLS, and redirect cleartext only"
	}
	return c
}
