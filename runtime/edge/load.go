// Package edge is the listener in front of a kas: it ends TLS, looks at the
// first bytes, and sends gRPC, agents' WebSockets and the Kubernetes API each
// to the right place. It gets edge.yaml and a host, and knows neither spec nor
// topology. Its law: what the file routes is what gets through; no other
// upgrade, path or name does.
package edge

import (
	"kasgen/internal/edgeconf"
	"kasgen/runtime/certs"
)

// Config is an edge.yaml that can be run.
type Config struct {
	file  *edgeconf.File
	anyOf []string
}

// Load reads and checks a file. It opens nothing. The error, where there is
// one, is a diag.Findings.
func Load(name string, data []byte) (*Config, error) {
	f, err := edgeconf.Read(name, data)
	if err != nil {
		return nil, err
	}
	return &Config{file: f}, nil
}

// Binds are the addresses that New opens.
func (c *Config) Binds() []string {
	var binds []string
	for _, l := range c.file.Listeners {
		binds = append(binds, l.Address)
	}
	return binds
}

// Files are the certificates, keys and secrets that New reads.
func (c *Config) Files() []string {
	var files []string
	for _, l := range c.file.Listeners {
		if l.TLS != nil {
			files = append(files, l.TLS.CertificateFile, l.TLS.KeyFile)
			if t := l.TLS.SessionTickets; t != nil {
				files = append(files, t.KeyFile)
			}
			if ca := l.TLS.ClientCA; ca != nil {
				files = append(files, ca.File)
			}
		}
	}
	for _, u := range c.file.Upstreams {
		if u.TLS != nil && u.TLS.CAFile != "" {
			files = append(files, u.TLS.CAFile)
		}
	}
	return files
}

// AnyOf are kas's names: for one of them a certificate has to be whose listener
// says no names.
func (c *Config) AnyOf(names []string) { c.anyOf = names }

// Pairs are the certificates that clients are shown, with their keys and the
// names of their listeners.
func (c *Config) Pairs() []certs.Served {
	var pairs []certs.Served
	for _, l := range c.file.Listeners {
		if l.TLS != nil {
			pairs = certs.Add(pairs, certs.Served{Pair: certs.Pair{Certificate: l.TLS.CertificateFile, Key: l.TLS.KeyFile}, Names: l.ServerNames, AnyOf: c.anyOf})
		}
	}
	return pairs
}

// ServerNames are the names that the listeners serve.
func (c *Config) ServerNames() []string {
	var names []string
	for _, l := range c.file.Listeners {
		names = append(names, l.ServerNames...)
	}
	return names
}
