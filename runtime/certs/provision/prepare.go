package provision

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"kasgen/runtime/certs"
	"kasgen/runtime/certs/atomicfile"
)

// prepare has every file of a certificate there before a program wants to read
// it: with what was obtained before, with what lies there, or a placeholder.
func (s *Server) prepare(o certs.Output, names []string) error {
	for _, path := range []string{o.Certificate, o.Key, o.Combined} {
		if path == "" {
			continue
		}
		if err := atomicfile.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
	}
	c := s.source.Certificate(o.ID)
	if c == nil {
		there, err := onDisk(o)
		switch {
		case err != nil: // none, or none that any program could use
			if c, err = certs.Placeholder(names, time.Now()); err != nil {
				return err
			}
			s.host.Log.Warn("there is no certificate yet; a placeholder is written so that programs start", "names", names, "file", o.Certificate)
		case certs.IsPlaceholder(there.Leaf):
			c = there
		default:
			s.host.Log.Info("what lies on disk serves until a certificate is obtained", "names", names, "issuer", there.Leaf.Issuer.CommonName, "expires", there.Leaf.NotAfter)
			s.source.before.Put(o.ID, there)
			c = there
		}
	}
	if _, err := certs.Write(o, c); err != nil {
		return fmt.Errorf("writing a certificate: %w", err)
	}
	return nil
}

// onDisk is the pair that lies there, if it is one.
func onDisk(o certs.Output) (*tls.Certificate, error) {
	cert, errCert := os.ReadFile(o.Certificate)
	key, errKey := os.ReadFile(o.Key)
	if err := errors.Join(errCert, errKey); err != nil {
		return nil, err
	}
	return certs.Parse(cert, key)
}
