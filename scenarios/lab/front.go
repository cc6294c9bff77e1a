package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"

	"kasgen/internal/lockfile"
	"kasgen/runtime/haproxy"
	"kasgen/runtime/host"
	"kasgen/runtime/state"
	"kasgen/scenarios/lab/httpbalancer"
)

// startFront puts a stand-in of somebody else's balancer before a listener of
// the bundle, and returns where it listens.
func (l *Lab) startFront(ctx context.Context, n name, backend string, o Options) (string, error) {
	cert := filepath.Join(l.dir, "front", n.Name+".crt")
	items := []state.Item{{Path: l.caFile, Kind: state.CA}, {Path: cert, Kind: state.Certificate, Names: []string{n.Name}}}
	if _, err := state.Ensure(items); err != nil {
		return "", err
	}
	if o.Model == nil && n.Front.Kind == "external-tcp" {
		return l.startTCP(ctx, n, backend, state.CombinedPath(cert), o.Log)
	}
	pair, err := tls.LoadX509KeyPair(cert, state.KeyPath(cert))
	if err != nil {
		return "", err
	}
	b := httpbalancer.Options{Kind: httpbalancer.HTTP1, Certificate: pair, Backend: backend, Dial: l.dial, Log: o.Log}
	if n.Front != nil && n.Front.Kind == "external-http2" {
		b.Kind = httpbalancer.HTTP2
	}
	if o.Model != nil {
		b.Kind, b.Life = o.Model.Kind, o.Model.Life()
	}
	switch {
	case o.Direct:
		agents, kubernetes := l.bundle.Kas().Proxied()
		b.Backend, b.Paths = agents, []httpbalancer.Path{{Prefix: n.PathPrefix, Backend: kubernetes}}
	case n.Front == nil || n.Front.TLS == "reencrypt":
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(l.caPEM)
		b.BackendTLS = &tls.Config{RootCAs: roots, ServerName: n.Name, MinVersion: tls.VersionTLS12}
	}
	running, err := httpbalancer.Start(b)
	if err != nil {
		return "", err
	}
	l.closers = append(l.closers, running.Close)
	return running.Addr().String(), nil
}

// startTCP runs a TCP balancer that does what the listener expects.
func (l *Lab) startTCP(ctx context.Context, n name, backend, combined string, log *slog.Logger) (string, error) {
	bind, server := "bind 127.0.0.1:443", "server listener "+backend
	if n.Front.TLS == "terminate" {
		bind += " ssl crt " + combined
		if l.Carries().Agents.GRPCS == lockfile.Yes {
			bind += " alpn http/1.1,h2"
		}
	}
	switch n.Front.ProxyProtocol {
	case "v1":
		server += " send-proxy"
	case "v2":
		server += " send-proxy-v2"
	}
	text := strings.Join([]string{"defaults", "mode tcp", "timeout connect 5s", "timeout client 2h", "timeout server 2h",
		"listen somebody-elses", bind, server, ""}, "\n")
	c, err := haproxy.Load("the stand-in for "+n.Name+"'s balancer", []byte(text))
	if err != nil {
		return "", fmt.Errorf("stand-in TCP balancer: %w", err)
	}
	h := host.Machine(log)
	h.Listen = func(ctx context.Context, network, _ string) (net.Listener, error) {
		var lc net.ListenConfig
		return lc.Listen(ctx, network, "127.0.0.1:0")
	}
	s, err := c.New(ctx, h)
	if err != nil {
		return "", fmt.Errorf("stand-in TCP balancer: %w", err)
	}
	l.roles.Go(func() error { return s.Serve(ctx) })
	return s.Addrs()["127.0.0.1:443"].String(), nil
}
