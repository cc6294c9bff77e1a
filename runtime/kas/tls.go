package kas

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"

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

// overHTTP are o's for a listener of HTTP. Who speaks it in cleartext to TLS
// gets the words of net/http, and so of GitLab's kas, whose clients and proxies
// know the mistake by them; whatever else comes gets none.
func overHTTP(o accept.Options) accept.Options {
	o.Cleartext = func(c net.Conn, began [5]byte) {
		switch string(began[:]) {
		case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO": // as net/http has it
			accept.LastWord(c, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
		}
	}
	return o
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
