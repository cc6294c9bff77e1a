package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
)

// link is how the agent reaches kas.
type link struct {
	target    string
	options   []grpc.DialOption
	metadata  metadata.MD // of every call
	closeIdle func()
}

func newLink(o *Options, userAgent string) (*link, error) {
	u, err := url.Parse(o.KasURL)
	if err != nil {
		var fault *url.Error
		if errors.As(err, &fault) {
			err = fault.Err // without the URL: it may hold a password
		}
		return nil, err
	}
	switch {
	case u.Hostname() == "":
		return nil, errors.New("it names no host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("user, query and fragment never reach kas: leave them out")
	}
	l := &link{options: commonOptions(o.Token, u.Scheme == "grpcs", userAgent), closeIdle: func() {}}
	switch u.Scheme {
	case "ws", "wss":
		l.overWebSocket(o, userAgent)
	case "grpc", "grpcs":
		if u.Path != "" && u.Path != "/" {
			return nil, fmt.Errorf("gRPC has no place for the path %q", u.Path)
		}
		l.direct(o, u)
	default:
		return nil, fmt.Errorf("the scheme %q is none of ws, wss, grpc, grpcs", u.Scheme)
	}
	return l, nil
}

// commonOptions hold for both ways to kas.
func commonOptions(token string, secure bool, userAgent string) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithUserAgent(userAgent),
		// agentk compresses every message. A server that does not know gzip
		// answers every call Unimplemented.
		grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)),
		grpc.WithKeepaliveParams(keepaliveParameters()),
		grpc.WithPerRPCCredentials(bearer{token: token, secure: secure}),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}]}`),
	}
}

// keepaliveParameters make a ping below the 60 s that load balancers allow
// silence for, and above kas's own 50 s, so that both ends ping.
func keepaliveParameters() keepalive.ClientParameters {
	return keepalive.ClientParameters{Time: 55 * time.Second, PermitWithoutStream: true}
}

// overWebSocket wraps cleartext HTTP/2 in a WebSocket. The target is the whole
// URL, and grpc-go makes :authority of it, percent-encoded.
func (l *link) overWebSocket(o *Options, userAgent string) {
	w := newWebSocketDialer(o, userAgent)
	l.target = "passthrough:" + o.KasURL
	l.closeIdle = w.client.CloseIdleConnections
	l.options = append(l.options,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(w.dial))
}

func (l *link) direct(o *Options, u *url.URL) {
	port, creds := "80", insecure.NewCredentials()
	if u.Scheme == "grpcs" {
		port = "443"
		creds = credentials.NewTLS(&tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12})
	}
	if u.Port() != "" {
		port = u.Port()
	}
	l.target = "dns:" + net.JoinHostPort(u.Hostname(), port)
	l.options = append(l.options, grpc.WithTransportCredentials(creds))
	if dial := o.Dial; dial != nil {
		// The name goes to Dial as it is: what Dial redirects need not resolve.
		l.target = "passthrough:" + net.JoinHostPort(u.Hostname(), port)
		l.options = append(l.options, grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return dial(ctx, "tcp", address)
		}))
	}
	l.metadata = metadata.MD{}
	for name, values := range o.Headers {
		l.metadata.Append(strings.ToLower(name), values...)
	}
}

// bearer puts the agent's token on every call.
type bearer struct {
	token  string
	secure bool
}

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + b.token}, nil
}

// RequireTransportSecurity holds where gRPC itself is encrypted. Over a
// WebSocket gRPC sees cleartext, also where wss encrypts around it.
func (b bearer) RequireTransportSecurity() bool { return b.secure }
