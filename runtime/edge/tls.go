package edge

import (
	"crypto/tls"
	"strings"

	"kasgen/internal/edgeconf"
	"kasgen/runtime/certs"
	"kasgen/runtime/host"
)

// Obtained finds who obtains a certificate in this process, by the path that a
// file has for it. It is asked while an edge is made.
type Obtained func(certificateFile string) (certs.Source, bool)

// source is where a listener's certificate comes from: who obtains it, if that
// is in this process, so that a CA is answered too; else its files, which are
// read again when they change.
func (s *Server) source(h *host.Host, conf edgeconf.TLS, obtained Obtained) (certs.Source, error) {
	if obtained != nil {
		if src, ok := obtained(conf.CertificateFile); ok {
			return src, nil
		}
	}
	files, err := certs.OpenFiles([]certs.Pair{{Certificate: conf.CertificateFile, Key: conf.KeyFile}},
		certs.FilesOptions{Log: h.Log, ReadFile: h.ReadFile, Served: s.served})
	if err != nil {
		return nil, err
	}
	s.certs = append(s.certs, files)
	return files, nil
}

// serverTLS is how a listener ends TLS with certificates that may change while
// it runs.
func serverTLS(conf edgeconf.Listener, files certs.Source) *tls.Config {
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
		return certs.Listen(base, files)
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
	return certs.Listen(base, files)
}

func serves(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, strings.TrimSuffix(name, ".")) {
			return true
		}
	}
	return false
}
