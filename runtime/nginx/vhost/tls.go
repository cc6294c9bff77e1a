package vhost

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"kasgen/runtime/certs"
)

// serverTLS is how a server ends TLS.
type serverTLS struct {
	certificates []certificate
	reject       bool
	min, max     uint16
	suites       []uint16
	curves       []tls.CurveID
}

type certificate struct{ cert, key string }

// open reads every certificate, key and CA of the file.
func (s *Server) open() error {
	var errs []error
	for _, k := range s.config.sockets {
		if !k.ssl {
			continue
		}
		for _, v := range k.servers {
			var pairs []certs.Pair
			for _, c := range v.settings.tls.certificates {
				pairs = append(pairs, certs.Pair{Certificate: c.cert, Key: c.key})
			}
			if len(pairs) == 0 || s.files[v] != nil {
				continue
			}
			files, err := s.certs.Open(pairs)
			if err != nil {
				errs = append(errs, err)
			}
			s.files[v] = files
		}
	}
	for _, file := range s.config.roots {
		data, err := s.host.ReadFile(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("CA file: %w", err))
			continue
		}
		s.roots[file] = x509.NewCertPool()
		if !s.roots[file].AppendCertsFromPEM(data) {
			errs = append(errs, fmt.Errorf("CA file %s: no certificate in it", file))
		}
	}
	return errors.Join(errs...)
}

// tls is a socket's: the client's name chooses the server, whose certificate
// is shown and whose HTTP/2 is offered. Versions are the default server's, for
// OpenSSL has settled them by the time that nginx hears the name.
func (s *Server) tls(k *socket) *tls.Config {
	first := &k.servers[0].settings.tls
	configs := map[*server]*tls.Config{}
	for _, v := range k.servers {
		t := &v.settings.tls
		c := &tls.Config{MinVersion: first.min, MaxVersion: first.max, CipherSuites: t.suites, CurvePreferences: t.curves}
		if files := s.files[v]; files != nil {
			c.GetCertificate = files.GetCertificate
		}
		c.NextProtos = []string{"http/1.1", "http/1.0", "http/0.9"}
		if k.http2 || v.http2 {
			c.NextProtos = []string{"h2", "http/1.1", "http/1.0", "http/0.9"}
		}
		if t.reject {
			// Without a certificate crypto/tls answers unrecognized_name, as
			// nginx does.
			c.GetCertificate = nil
		}
		configs[v] = c
	}
	for _, v := range k.servers {
		if len(v.settings.tls.certificates) == 0 && !v.settings.tls.reject {
			configs[v].GetCertificate = configs[k.servers[0]].GetCertificate
		}
	}
	choose := func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
		if v := k.names.find(name, func(*regexp.Regexp, []string) {}); v != nil && name != "" {
			return configs[v], nil
		}
		return configs[k.servers[0]], nil
	}
	c := configs[k.servers[0]].Clone()
	c.GetConfigForClient = choose
	return c
}

// suites are nginx's names of the TLS 1.2 suites that crypto/tls has.
func suites() map[string]uint16 {
	return map[string]uint16{
		"ECDHE-ECDSA-AES128-GCM-SHA256": tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		"ECDHE-RSA-AES128-GCM-SHA256":   tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		"ECDHE-ECDSA-AES256-GCM-SHA384": tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		"ECDHE-RSA-AES256-GCM-SHA384":   tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		"ECDHE-ECDSA-CHACHA20-POLY1305": tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		"ECDHE-RSA-CHACHA20-POLY1305":   tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		"ECDHE-ECDSA-AES128-SHA":        tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
		"ECDHE-RSA-AES128-SHA":          tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
		"ECDHE-ECDSA-AES256-SHA":        tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
		"ECDHE-RSA-AES256-SHA":          tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
	}
}

// missing are names that crypto/tls has no suite for. A client that speaks
// nothing else is one from before TLS 1.2's good suites.
func missing(name string) bool {
	return strings.HasPrefix(name, "DHE-") || strings.HasPrefix(name, "!") || strings.HasPrefix(name, "TLS_") || slices.Contains([]string{
		"ECDHE-ECDSA-AES128-SHA256", "ECDHE-RSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-RSA-AES256-SHA384",
		"AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA256", "AES256-SHA256", "AES128-SHA", "AES256-SHA", "DES-CBC3-SHA",
	}, name)
}
