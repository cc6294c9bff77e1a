package omnibus

import (
	"cmp"
	"fmt"
	"path/filepath"
	"time"

	"kasgen/generator"
	"kasgen/runtime/certs"
	"kasgen/runtime/certs/atomicfile"
)

// awaited is a certificate that is obtained once everything runs, and that
// GitLab's nginx reads before.
type awaited struct {
	certs.Output
	names []string
}

// await notes what GitLab's nginx is to read and nobody has obtained yet.
func (p *plan) await(f generator.Facts) {
	c := f.Topology.Certs
	if c == nil || p.host.has(c.TLS.CertificateFile) && p.host.has(c.TLS.KeyFile) {
		return
	}
	p.awaited = &awaited{names: c.Names, Output: certs.Output{
		Certificate: p.host.at(c.TLS.CertificateFile), Key: p.host.at(c.TLS.KeyFile),
	}}
}

// placeholder puts a certificate that signs itself where nginx would find none
// and not start, GitLab's own vhosts with it. The service that obtains
// certificates replaces it.
func (p *plan) placeholder() error {
	a := p.awaited
	if a == nil {
		return nil
	}
	c, err := certs.Placeholder(a.names, time.Now())
	if err == nil {
		err = cmp.Or(atomicfile.MkdirAll(filepath.Dir(a.Certificate), 0o700), atomicfile.MkdirAll(filepath.Dir(a.Key), 0o700))
	}
	if err == nil {
		_, err = certs.Write(a.Output, c)
	}
	if err != nil {
		return fmt.Errorf("putting a placeholder where nginx reads the certificate: %w", err)
	}
	return nil
}
