package edge

import (
	"crypto/tls"
	"strings"

	"kasgen/internal/edgeconf"
	"kasgen/runtime/certs"
	"kasgen/runtime/host"
)

// serverTLS is how a listener ends TLS, and the certificate that it does so
// with, which changes while it runs when the files do.
func serverTLS(h *host.Host, conf edgeconf.Listener) (*tls.Config, *certs.Files, error) {
	files, err := certs.OpenFiles([]certs.Pair{{Certificate: conf.TLS.CertificateFile, Key: conf.TLS.KeyFile}},
		certs.FilesOptions{Log: h.Log, ReadFile: h.ReadFile})
	if err != nil {
		return nil, nil, err
	}
	min := uint16(tls.VersionTLS12)
	if conf.TLS.MinVersion == "1.3" {
		min = tls.VersionTLS13
	}
	base := &tls.Config{
		MinVersion: min,
		// The server's order decides. http/1.1 comes first because kubectl
		// offers both and can upgrade only HTTP/1.1; grpc-go offers h2 alone.
		NextProtos: conf.TLS.ALPN,
		// Streams are bulk or a keystroke; small first records help neither.
		DynamicRecordSizingDisabled: true,
	}
	if len(conf.ServerNames) == 0 {
		return certs.Listen(base, files), files, nil
	}
	// Without a certificate to offer, the handshake ends with the alert
	// unrecognized_name (RFC 6066, section 3), which names the fault.
	stranger := base.Clone()
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		// A client without SNI connects by address, as probes do.
		if hello.ServerName == "" || serves(conf.ServerNames, hello.ServerName) {
			return nil, nil
		}
		return stranger, nil
	}
	return certs.Listen(base, files), files, nil
}

func serves(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, strings.TrimSuffix(name, ".")) {
			return true
		}
	}
	return false
}
