package lab

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"path/filepath"

	"kasgen/runtime/state"
	"kasgen/scenarios/lab/httpbalancer"
)

// startBalancer puts a stand-in of somebody else's balancer before a listener
// of the bundle, and returns where it listens.
func (l *Lab) startBalancer(n name, backend string, log *slog.Logger) (string, error) {
	cert := filepath.Join(l.dir, "balancer", n.host+".crt")
	items := []state.Item{{Path: l.caFile, Kind: state.CA}, {Path: cert, Kind: state.Certificate, Names: []string{n.host}}}
	if _, err := state.Ensure(items); err != nil {
		return "", err
	}
	pair, err := tls.LoadX509KeyPair(cert, state.KeyPath(cert))
	if err != nil {
		return "", err
	}
	o := httpbalancer.Options{Kind: n.balancer, Certificate: pair, Backend: backend, Dial: l.dial, Log: log}
	if n.tls {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(l.caPEM)
		o.BackendTLS = &tls.Config{RootCAs: roots, ServerName: n.host, MinVersion: tls.VersionTLS12}
	}
	b, err := httpbalancer.Start(o)
	if err != nil {
		return "", err
	}
	l.closers = append(l.closers, b.Close)
	return b.Addr().String(), nil
}
