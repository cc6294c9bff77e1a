package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"path/filepath"

	"kasgen/runtime/state"
	"kasgen/scenarios/lab/cloud"
	"kasgen/scenarios/lab/httpbalancer"
)

// startFront puts a stand-in of somebody else's balancer before a listener of
// the bundle, and returns where it listens.
func (l *Lab) startFront(ctx context.Context, n name, backend string, m *cloud.Model, o Options) (string, error) {
	cert := filepath.Join(l.dir, "front", n.Name+".crt")
	items := []state.Item{{Path: l.caFile, Kind: state.CA}, {Path: cert, Kind: state.Certificate, Names: []string{n.Name}}}
	if _, err := state.Ensure(items); err != nil {
		return "", err
	}
	if tcp := l.tcpOf(n, m); tcp != nil {
		tcp.certificate, tcp.backend = state.CombinedPath(cert), backend
		return l.startTCP(ctx, n, *tcp, o.Log)
	}
	pair, err := tls.LoadX509KeyPair(cert, state.KeyPath(cert))
	if err != nil {
		return "", err
	}
	b := httpbalancer.Options{Kind: httpbalancer.HTTP1, Certificate: pair, Backend: backend, Dial: l.dial, Log: o.Log}
	if n.Front != nil && n.Front.Kind == "external-http2" {
		b.Kind = httpbalancer.HTTP2
	}
	if m != nil {
		b.Kind, b.Life, b.Idle = httpbalancer.HTTP1, m.Life(), m.Idle()
		if m.Kind == cloud.HTTP2 {
			b.Kind = httpbalancer.HTTP2
		}
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
