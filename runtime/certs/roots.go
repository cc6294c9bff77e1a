package certs

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"sync/atomic"
)

// Roots are the certificates of a file that signs others' certificates, as the
// file was when it could last be read.
type Roots struct {
	path string
	o    FilesOptions
	seen []byte // by Watched alone
	pool atomic.Pointer[x509.CertPool]
}

// Pool is what the file had last.
func (r *Roots) Pool() *x509.CertPool { return r.pool.Load() }

// read takes the file's content, if it has changed and holds a certificate.
func (r *Roots) read() error {
	data, err := r.o.ReadFile(r.path)
	if err != nil {
		return fmt.Errorf("CA file: %w", err)
	}
	if bytes.Equal(data, r.seen) {
		return nil
	}
	r.seen = data
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return fmt.Errorf("CA file %s: no certificate in it", r.path)
	}
	r.pool.Store(pool)
	return nil
}

// OpenRoots reads a file of CAs; the same file is opened once, and read again
// with the certificates. One that does not work any more is reported, and what it
// had before stays.
func (w *Watched) OpenRoots(path string) (*Roots, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r := w.roots[path]; r != nil {
		return r, nil
	}
	r := &Roots{path: path, o: w.o}
	if err := r.read(); err != nil {
		return nil, err
	}
	w.roots[path] = r
	return r, nil
}
