package omnibus

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kasgen/generator"
	"kasgen/internal/certsconf"
	"kasgen/internal/lockfile"
	"kasgen/omnibus/ledger"
	"kasgen/runtime/certs"
)

// awaited is a certificate that is obtained once everything runs, and that
// GitLab's nginx reads before.
type awaited struct {
	names            []string
	certificate, key string // absolute
}

// await notes what GitLab's nginx is to read and nobody has obtained yet.
func (p *plan) await(f generator.Facts) {
	c := f.Topology.Certs
	if c == nil || p.host.has(c.TLS.CertificateFile) && p.host.has(c.TLS.KeyFile) {
		return
	}
	p.awaited = &awaited{names: c.Names, certificate: p.host.at(c.TLS.CertificateFile), key: p.host.at(c.TLS.KeyFile)}
}

// placeholder puts a certificate that signs itself where nginx would find none
// and not start, GitLab's own vhosts with it. The service that obtains
// certificates replaces it.
func (p *plan) placeholder() ([]ledger.Change, error) {
	a := p.awaited
	if a == nil {
		return nil, nil
	}
	c, err := certs.Placeholder(a.names, time.Now())
	if err != nil {
		return nil, fmt.Errorf("making a placeholder for a certificate: %w", err)
	}
	cert, key, err := certs.Encode(c)
	return []ledger.Change{
		{Path: a.key, Data: key, Mode: 0o600, Folder: 0o700},
		{Path: a.certificate, Data: cert, Mode: 0o600, Folder: 0o700},
	}, err
}

// vhostWith is a vhost of Omnibus's own that names one of the files: without it
// nginx would not start again before chef has written another.
func (h host) vhostWith(names []string) string {
	for _, at := range []string{"conf/service_conf/gitlab-kas.conf", "conf/gitlab-kas.conf"} {
		vhost := filepath.Join(nginxPrefix, at)
		text, there, err := h.read(vhost)
		if err != nil || !there {
			continue
		}
		if slices.ContainsFunc(names, func(name string) bool { return strings.Contains(string(text), name) }) {
			return "/" + vhost
		}
	}
	return ""
}

// placeholders are files of certificates that nobody has obtained, by the
// bundle in place, and the directory that is the bundle's own. Of files that
// somebody has made something else of nothing is guessed.
func (h host) placeholders() (names []string, state string) {
	lock, _, err := h.read(filepath.Join(Directory, lockfile.Name))
	if err != nil {
		return nil, ""
	}
	text, _, err := h.read(filepath.Join(Directory, "certs/certs.yaml"))
	if err != nil {
		return nil, ""
	}
	l, err := lockfile.Read(lockfile.Name, lock)
	if err != nil {
		return nil, ""
	}
	f, err := certsconf.Read("certs.yaml", text)
	if err != nil {
		return nil, ""
	}
	for _, c := range f.Certificates {
		text, _, err := h.read(c.CertificateFile)
		if err != nil {
			continue
		}
		block, _ := pem.Decode(text)
		if block == nil {
			continue
		}
		if leaf, err := x509.ParseCertificate(block.Bytes); err == nil && certs.IsPlaceholder(leaf) {
			names = append(names, c.CertificateFile, c.KeyFile)
		}
	}
	return names, l.StateDir
}
