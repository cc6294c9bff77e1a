package lab

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kasgen/runtime/state"
)

// foreignFiles redirects the files that the bundle names outside its state
// directory, and says how to make what takes their place.
func (l *Lab) foreignFiles(ca string) ([]state.Item, error) {
	items := []state.Item{{Path: ca, Kind: state.CA}}
	names := l.names.hosts()
	for n, path := range l.bundle.Files() {
		if l.bundle.Obtained(path) {
			continue // from a CA
		}
		to := l.redirect.File(path)
		if _, err := os.Stat(to); err == nil && (to != path || strings.HasPrefix(path, l.bundle.Lock.StateDir+"/")) {
			continue // under the state directory, and made
		}
		dir := filepath.Join(l.dir, "files", fmt.Sprint(n))
		switch ext := filepath.Ext(path); ext {
		case ".key", ".crt", ".cert", ".pem":
			// Certificate, key and both in one lie beside each other.
			base := filepath.Join(l.dir, "files", "tls", strings.TrimSuffix(filepath.Base(path), ext))
			items = append(items, state.Item{Path: base + ".crt", Kind: state.Certificate, Names: names})
			if ext == ".cert" {
				ext = ".crt"
			}
			l.redirect.Path(path, base+ext)
		default:
			to := filepath.Join(dir, filepath.Base(path))
			kind := state.Secret
			if path == l.bundle.Kas().WebSocketTokenFile() {
				kind = state.WebSocketSecret
			}
			items = append(items, state.Item{Path: to, Kind: kind})
			l.redirect.Path(path, to)
		}
	}
	return items, nil
}

// secret reads the key in a secret file.
func (l *Lab) secret(path string) ([]byte, error) {
	text, err := os.ReadFile(l.redirect.File(path))
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
}

// serveAs makes GitLab's address, as kas-config.yaml has it, lead to the
// stand-in; for https with a certificate of the lab's own.
func (l *Lab) serveAs(ctx context.Context, address, standIn string) error {
	from, err := url.Parse(address)
	if err != nil {
		return err
	}
	to, err := url.Parse(standIn)
	if err != nil {
		return err
	}
	if from.Scheme == "http" {
		l.redirect.Name(hostport(from, "80"), to.Host)
		return nil
	}
	cert := filepath.Join(l.dir, "gitlab", "gitlab.crt")
	items := []state.Item{{Path: l.caFile, Kind: state.CA}, {Path: cert, Kind: state.Certificate, Names: []string{from.Hostname()}}}
	if _, err := state.Ensure(items); err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(cert, state.KeyPath(cert))
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	transport := &http.Transport{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }, Transport: transport}
	s := &http.Server{Handler: proxy, ReadHeaderTimeout: 10 * time.Second}
	l.work.Go(func() error {
		if err := s.Serve(tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{pair}})); err != http.ErrServerClosed {
			return err
		}
		return nil
	})
	context.AfterFunc(ctx, func() { s.Close(); transport.CloseIdleConnections() })
	l.redirect.Name(hostport(from, "443"), ln.Addr().String())
	return nil
}

func hostport(u *url.URL, port string) string {
	if p := u.Port(); p != "" {
		port = p
	}
	return net.JoinHostPort(u.Hostname(), port)
}
