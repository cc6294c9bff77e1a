// Package httpbalancer is a stand-in for somebody else's HTTP load balancers:
// those of a cloud, for which kasgen renders nothing and which cannot be had on
// a laptop. It knows nothing of kas. Its law: it passes what its kind is
// documented to pass and takes away the rest, as silently as they do.
package httpbalancer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
)

// Kind is what a balancer speaks to its backend.
type Kind string

// The kinds.
const (
	// HTTP1 speaks HTTP/1.1. It passes the upgrade to WebSocket; of any other
	// upgrade it takes the headers away and passes the rest.
	HTTP1 Kind = "http1"
	// HTTP2 speaks HTTP/2, in which nothing is upgraded.
	HTTP2 Kind = "http2"
)

// Options say what a balancer does.
type Options struct {
	Kind        Kind
	Certificate tls.Certificate
	Backend     string        // host:port, as Dial knows it
	Paths       []Path        // that go elsewhere, the longest prefix first
	Life        time.Duration // of a request with its answer, upgraded or not; 0: as long as it likes
	Idle        time.Duration // that a client's connection may be silent; 0: for ever
	BackendTLS  *tls.Config   // nil: cleartext
	Dial        func(ctx context.Context, network, address string) (net.Conn, error)
	Log         *slog.Logger
}

// Path sends what is below a prefix to another backend, without the prefix.
type Path struct{ Prefix, Backend string }

// Balancer is a running one.
type Balancer struct {
	ln        net.Listener
	server    *http.Server
	transport *http.Transport
	done      chan error
}

// headLimit is how long a client may take over a request head.
const headLimit = 10 * time.Second

// Start listens on a free port of loopback and serves until Close.
func Start(o Options) (*Balancer, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("stand-in HTTP balancer: %w", err)
	}
	b := &Balancer{ln: ln, done: make(chan error, 1), transport: transport(o)}
	scheme := "http"
	if o.BackendTLS != nil {
		scheme = "https"
	}
	log := slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { rewrite(r, o, scheme) },
		Transport: b.transport, FlushInterval: -1, ErrorLog: log,
	}
	b.server = &http.Server{Handler: limited(proxy, o.Life), ReadHeaderTimeout: headLimit, ErrorLog: log,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{o.Certificate}, MinVersion: tls.VersionTLS12}}
	go func() { b.done <- b.server.ServeTLS(&talkative{ln, o.Idle}, "", "") }()
	return b, nil
}

func transport(o Options) *http.Transport {
	t := &http.Transport{DialContext: o.Dial, Protocols: new(http.Protocols), DisableCompression: true}
	switch {
	case o.Kind == HTTP1:
		t.Protocols.SetHTTP1(true)
	case o.BackendTLS == nil:
		t.Protocols.SetUnencryptedHTTP2(true)
	default:
		t.Protocols.SetHTTP2(true)
	}
	if o.BackendTLS != nil {
		t.TLSClientConfig = o.BackendTLS.Clone()
	}
	return t
}

// limited ends requests, and what they have become, when their time is over.
func limited(next http.Handler, life time.Duration) http.Handler {
	if life == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), life)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// rewrite chooses the backend, keeps the client's Host and takes away the
// upgrades that the kind does not pass.
func rewrite(r *httputil.ProxyRequest, o Options, scheme string) {
	to := &url.URL{Scheme: scheme, Host: o.Backend}
	for _, p := range o.Paths {
		if rest, ok := strings.CutPrefix(r.In.URL.Path, p.Prefix+"/"); ok {
			to.Host = p.Backend
			r.Out.URL.Path, r.Out.URL.RawPath = "/"+rest, ""
			break
		}
	}
	r.SetURL(to)
	r.Out.Host = r.In.Host
	r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
	r.SetXForwarded()
	if o.Kind != HTTP1 || !strings.EqualFold(r.Out.Header.Get("Upgrade"), "websocket") {
		r.Out.Header.Del("Upgrade")
		r.Out.Header.Del("Connection")
	}
}

// Addr is where it listens.
func (b *Balancer) Addr() net.Addr { return b.ln.Addr() }

// Close ends every connection.
func (b *Balancer) Close() error {
	err := b.server.Close()
	b.transport.CloseIdleConnections()
	if serveErr := <-b.done; !errors.Is(serveErr, http.ErrServerClosed) {
		return serveErr
	}
	return err
}
