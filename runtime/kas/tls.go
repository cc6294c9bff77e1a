package kas

import (
	"crypto/tls"
	"errors"

	"kasgen/runtime/accept"
	"kasgen/runtime/host"
)

// options say how connections begin on a listener of kas: TLS if the file
// names a certificate and a key.
func options(h *host.Host, certFile, keyFile string, alpn ...string) (accept.Options, error) {
	o := accept.Options{Log: h.Log, Handshake: handshakeLimit, Sniff: headerLimit}
	if certFile == "" && keyFile == "" {
		return o, nil
	}
	cert, errCert := h.ReadFile(certFile)
	key, errKey := h.ReadFile(keyFile)
	if err := errors.Join(errCert, errKey); err != nil {
		return o, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return o, err
	}
	o.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: alpn, MinVersion: tls.VersionTLS12}
	return o, nil
}
