package agent

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

const (
	subprotocol = "ws-tunnel"
	// readLimit is the largest message, in bytes, that either side accepts.
	readLimit = 10 << 20
)

type webSocketDialer struct {
	url    string
	header http.Header
	client *http.Client
}

func newWebSocketDialer(o *Options, userAgent string) *webSocketDialer {
	header := make(http.Header, len(o.Headers)+2)
	for name, values := range o.Headers {
		for _, v := range values {
			header.Add(name, v)
		}
	}
	header.Set("User-Agent", userAgent)
	// kas ignores it; it is there for routers in front of kas.
	header.Set("Authorization", "Bearer "+o.Token)
	transport := &http.Transport{
		DialContext:           o.Dial,
		TLSClientConfig:       &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 20 * time.Second,
	}
	if o.Dial == nil {
		transport.Proxy = http.ProxyFromEnvironment
	}
	return &webSocketDialer{
		url:    o.KasURL,
		header: header,
		client: &http.Client{
			Transport: transport,
			// A redirect would take the token to a place nobody configured.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// dial is grpc-go's dialer; the address is the URL and already known.
func (d *webSocketDialer) dial(ctx context.Context, _ string) (net.Conn, error) {
	ws, _, err := websocket.Dial(ctx, d.url, &websocket.DialOptions{
		HTTPClient:      d.client,
		HTTPHeader:      d.header,
		Subprotocols:    []string{subprotocol},
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, fmt.Errorf("WebSocket handshake: %w", err)
	}
	if got := ws.Subprotocol(); got != subprotocol {
		reason := fmt.Sprintf("expected the subprotocol %s, got %q", subprotocol, got)
		_ = ws.Close(websocket.StatusProtocolError, reason) // the dial fails either way
		return nil, fmt.Errorf("WebSocket handshake: %s", reason)
	}
	// ctx bounds the dial and not the connection, which grpc-go closes.
	conn := websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
	ws.SetReadLimit(readLimit) // NetConn has just lifted it
	return conn, nil
}
