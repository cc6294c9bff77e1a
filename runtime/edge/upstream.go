package edge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"time"

	"kasgen/internal/edgeconf"
	"kasgen/runtime/host"
	"kasgen/runtime/relay"
)

// upstream is where traffic goes: an endpoint in this process, or an address.
type upstream struct {
	log    *slog.Logger
	conf   edgeconf.Upstream
	local  Local // nil: never
	host   *host.Host
	tls    *tls.Config
	relays *relay.Group
	proxy  *httputil.ReverseProxy // for requests that upgrade nothing
	http   *http.Transport
}

func newUpstream(conf edgeconf.Upstream, h *host.Host, local Local, r *relay.Group) (*upstream, error) {
	u := &upstream{log: h.Log, conf: conf, host: h, relays: r}
	if conf.TLS == nil {
		u.local = local
	} else {
		u.tls = &tls.Config{ServerName: conf.TLS.ServerName, MinVersion: tls.VersionTLS12, RootCAs: h.Roots}
		if conf.TLS.CAFile != "" {
			pem, err := h.ReadFile(conf.TLS.CAFile)
			if err != nil {
				return nil, err
			}
			u.tls.RootCAs = x509.NewCertPool()
			if !u.tls.RootCAs.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("no certificate in %s", conf.TLS.CAFile)
			}
		}
	}
	u.http = &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return u.dial(ctx, "http/1.1") },
		DisableCompression:  true, // what the client did not ask for is not undone here
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     50 * time.Second, // below kas's 60 s
	}
	u.proxy = &httputil.ReverseProxy{
		Transport:     u.http,
		FlushInterval: -1, // watches and logs are read as they come
		ErrorLog:      slog.NewLogLogger(h.Log.Handler(), slog.LevelDebug),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", conf.Address
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) { u.unreachable(w, r, err) },
	}
	return u, nil
}

// endpoint is the upstream in this process, if it is there.
func (u *upstream) endpoint() (Endpoint, bool) {
	if u.local == nil {
		return Endpoint{}, false
	}
	return u.local(u.conf.Address)
}

// dial opens a connection of our own to the upstream.
func (u *upstream) dial(ctx context.Context, alpn string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(u.conf.Connect))
	defer cancel()
	c, err := u.host.Dial(ctx, "tcp", u.conf.Address)
	if err != nil || u.tls == nil {
		return c, err
	}
	conf := u.tls.Clone()
	conf.NextProtos = []string{alpn}
	t := tls.Client(c, conf)
	if err := t.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return t, nil
}

// connect hands a whole connection over: HTTP/2.
func (u *upstream) connect(client net.Conn) {
	if e, ok := u.endpoint(); ok {
		if e.GRPC == nil {
			u.log.Info("HTTP/2 was refused: the upstream takes no gRPC", "upstream", u.conf.Name)
			client.Close()
			return
		}
		e.GRPC(client)
		return
	}
	server, err := u.dial(context.Background(), "h2")
	if err != nil {
		u.log.Warn("an upstream cannot be reached", "upstream", u.conf.Name, "address", u.conf.Address, "error", err)
		client.Close()
		return
	}
	u.relays.Join(client, server, relay.Options{})
}

// serve answers one HTTP/1.1 request; token is the upgrade that it asks for.
func (u *upstream) serve(w http.ResponseWriter, r *http.Request, token string) {
	e, local := u.endpoint()
	switch {
	case local:
		e.HTTP.ServeHTTP(w, r)
	case token != "":
		u.upgrade(w, r)
	default:
		u.proxy.ServeHTTP(w, r)
	}
}

func (u *upstream) unreachable(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		// The client has gone, or has stopped sending. Returning would make the
		// server answer 200.
		panic(http.ErrAbortHandler)
	}
	u.log.Warn("an upstream cannot be reached", "upstream", u.conf.Name, "address", u.conf.Address, "error", err)
	fail(w, http.StatusBadGateway, "the upstream "+u.conf.Name+" ("+u.conf.Address+") cannot be reached")
}

func (u *upstream) close() {
	u.http.CloseIdleConnections()
}
