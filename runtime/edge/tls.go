package edge

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"kasgen/internal/edgeconf"
	"kasgen/runtime/host"
)

// serverTLS is how a listener ends TLS.
func serverTLS(h *host.Host, conf edgeconf.Listener) (*tls.Config, error) {
	cert, errCert := h.ReadFile(conf.TLS.CertificateFile)
	key, errKey := h.ReadFile(conf.TLS.KeyFile)
	if err := errors.Join(errCert, errKey); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", conf.TLS.CertificateFile, conf.TLS.KeyFile, err)
	}
	min := uint16(tls.VersionTLS12)
	if conf.TLS.MinVersion == "1.3" {
		min = tls.VersionTLS13
	}
	base := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   min,
		// The server's order decides. http/1.1 comes first because kubectl
		// offers both and can upgrade only HTTP/1.1; grpc-go offers h2 alone.
		NextProtos: conf.TLS.ALPN,
		// Streams are bulk or a keystroke; small first records help neither.
		DynamicRecordSizingDisabled: true,
	}
	if len(conf.ServerNames) == 0 {
		return base, nil
	}
	// Without a certificate to offer, the handshake ends with the alert
	// unrecognized_name (RFC 6066, section 3), which names the fault.
	stranger := base.Clone()
	stranger.Certificates = nil
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		// A client without SNI connects by address, as probes do.
		if hello.ServerName == "" || serves(conf.ServerNames, hello.ServerName) {
			return nil, nil
		}
		return stranger, nil
	}
	return base, nil
}

func serves(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, strings.TrimSuffix(name, ".")) {
			return true
		}
	}
	return false
}
