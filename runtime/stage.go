package runtime

import (
	"crypto/tls"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"kasgen/runtime/host"
	"kasgen/runtime/state"
)

// stage is a machine on which nothing is changed that was there before.
type stage struct {
	dir    string
	bundle *Bundle
	moved  string
	host.Moves
}

func newStage(dir string, b *Bundle, moved string) *stage {
	return &stage{dir: dir, bundle: b, moved: moved}
}

func (s *stage) ca() string { return filepath.Join(s.dir, "ca", "ca.crt") }

// authority is the certificate of the CA's own listener, in the name that the
// bundle has for it.
func (s *stage) authority() (tls.Certificate, error) {
	from, err := url.Parse(s.bundle.CA())
	if err != nil {
		return tls.Certificate{}, err
	}
	cert := filepath.Join(s.dir, "ca", "listener.crt")
	if _, err := state.Ensure([]state.Item{{Path: s.ca(), Kind: state.CA}, {Path: cert, Kind: state.Certificate, Names: []string{from.Hostname()}}}); err != nil {
		return tls.Certificate{}, err
	}
	return tls.LoadX509KeyPair(cert, state.KeyPath(cert))
}

// path is where a file lies: what is obtained is written to the scratch
// directory, everything else is read where it is.
func (s *stage) path(path string) string {
	if s.bundle.Obtained(path) {
		return filepath.Join(s.dir, "obtained", path)
	}
	if strings.HasPrefix(path, s.dir) {
		return path
	}
	return s.bundle.Redirect(path, s.moved)
}

func (s *stage) machine() *host.Host {
	h := host.Machine(slog.New(slog.DiscardHandler))
	h.Path = s.path
	h.ReadFile = func(path string) ([]byte, error) { return os.ReadFile(s.path(path)) }
	h.Lstat = func(path string) (os.FileInfo, error) { return os.Lstat(s.path(path)) }
	h.Listen, h.Dial = s.Listen(h.Listen), s.Dial(h.Dial)
	return h
}
