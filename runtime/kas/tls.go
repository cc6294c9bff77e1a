package kas

import (
	"crypto/tls"
	"errors"
	"fmt"

	"kasgen/runtime/accept"
	"kasgen/runtime/gitlab"
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

// websocketKey reads the key of WebSocket tokens; no file is no key. The
// length is GitLab's: that of what HMAC-SHA3-512 makes up to the 72 bytes that
// it takes without hashing them first.
func websocketKey(h *host.Host, path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	key, err := gitlab.ReadSecret(h, path)
	if err == nil && (len(key) < 64 || len(key) > 72) {
		err = fmt.Errorf("%s holds %d bytes and must hold 64 to 72", path, len(key))
	}
	return key, err
}
