package vhost

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
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

// certificates reads every certificate, key and CA of the file.
func (s *Server) certificates() (map[string]tls.Certificate, error) {
	certs := map[string]tls.Certificate{}
	var errs []error
	for _, k := range s.config.sockets {
		if !k.ssl {
			continue
		}
		for _, v := range k.servers {
			for _, c := range v.settings.tls.certificates {
				if err := s.certificate(certs, c); err != nil {
					errs = append(errs, err)
				}
			}
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
	return certs, errors.Join(errs...)
}

func (s *Server) certificate(certs map[string]tls.Certificate, c certificate) error {
	if _, ok := certs[c.cert]; ok {
		return nil
	}
	cert, err := s.host.ReadFile(c.cert)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	key, err := s.host.ReadFile(c.key)
	if err != nil {
		return fmt.Errorf("certificate's key: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", c.cert, err)
	}
	certs[c.cert] = pair
	return nil
}

// tls is a socket's: the client's name chooses the server, whose certificate
// is shown and whose HTTP/2 is offered. Versions are the default server's, for
// OpenSSL has settled them by the time that nginx hears the name.
func (s *Server) tls(k *socket, certs map[string]tls.Certificate) *tls.Config {
	first := &k.servers[0].settings.tls
	configs := map[*server]*tls.Config{}
	for _, v := range k.servers {
		t := &v.settings.tls
		c := &tls.Config{MinVersion: first.min, MaxVersion: first.max, CipherSuites: t.suites, CurvePreferences: t.curves}
		for _, file := range t.certificates {
			c.Certificates = append(c.Certificates, certs[file.cert])
		}
		c.NextProtos = []string{"http/1.1", "http/1.0", "http/0.9"}
		if k.http2 || v.http2 {
			c.NextProtos = []string{"h2", "http/1.1", "http/1.0", "http/0.9"}
		}
		if t.reject {
			// Without a certificate crypto/tls answers unrecognized_name, as
			// nginx does.
			c.Certificates = nil
		}
		configs[v] = c
	}
	for _, v := range k.servers {
		if len(v.settings.tls.certificates) == 0 && !v.settings.tls.reject {
			configs[v].Certificates = configs[k.servers[0]].Certificates
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
