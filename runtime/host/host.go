// Package host is what a role asks of the machine it runs on: sockets, files,
// a log and a place for metrics. It knows no role. Its law: a role opens,
// dials and reads only through its Host, so that one place can move a port or
// a path without a word changing in a configuration file.
package host

import (
	"context"
	"crypto/x509"
	"io/fs"
	"log/slog"
	"net"
	"os"

	"github.com/prometheus/client_golang/prometheus"
)

// Host is one machine as a role sees it.
type Host struct {
	Log *slog.Logger
	// Listen opens a stream listener on an address as a file wrote it. For
	// network "tcp" it returns a *net.TCPListener, so that splice(2) works.
	Listen func(ctx context.Context, network, address string) (net.Listener, error)
	// Dial connects to an address as a file wrote it.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// ReadFile reads a certificate, key or secret by the path a file wrote.
	ReadFile func(path string) ([]byte, error)
	// Path is where a path that a file wrote lies, for who writes there; nil:
	// where it says.
	Path func(path string) string
	// Lstat tells what a path is, a symbolic link included. Who moves what
	// ReadFile reads moves this as well.
	Lstat func(path string) (fs.FileInfo, error)
	// Roots are trusted where a file names no CA of its own; nil: the
	// system's. Who changes it must not change the pool itself.
	Roots   *x509.CertPool
	Metrics *prometheus.Registry
}

// Machine is this machine, with nothing moved.
func Machine(log *slog.Logger) *Host {
	var lc net.ListenConfig
	// kas and agents keep their own clocks; the kernel's probes only find
	// peers that vanished, so Go's default of 15 s is enough for both.
	var d net.Dialer
	return &Host{
		Log:      log,
		Listen:   lc.Listen,
		Dial:     d.DialContext,
		ReadFile: os.ReadFile,
		Lstat:    os.Lstat,
		Metrics:  prometheus.NewRegistry(),
	}
}

// At is where a path that a file wrote lies.
func (h *Host) At(path string) string {
	if h.Path == nil || path == "" {
		return path
	}
	return h.Path(path)
}
