// Package pebble runs Let's Encrypt's test CA in this process: the same
// protocol, validation by real connections, and random rejections of nonces. It
// knows nothing of who asks for certificates. Its law: nothing that it signs is
// trusted by anybody who has not been given its root, and nothing outlives it.
package pebble

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// Options are what a CA does.
type Options struct {
	// HTTPPort and TLSPort are where challenges are validated, on loopback.
	HTTPPort, TLSPort int
	// Validity of certificates; 0 is Pebble's own, five years.
	Validity time.Duration
	// ExternalAccounts are MAC keys in base64url by their IDs; if there are
	// any, no account is made without one.
	ExternalAccounts map[string]string
	// Certificate is of the CA's own listener; nil: one that Client trusts.
	Certificate *tls.Certificate
	// Directory is a path of the directory beside Pebble's own; empty: none.
	Directory string
	// Front is put before the CA's own handler; nil for none.
	Front func(http.Handler) http.Handler
	// Address to listen on; empty is a free port of loopback.
	Address string
	Log     io.Writer // Pebble's own; nil for none
}

// Server is a CA that runs. Pebble keeps one goroutine for each for as long as
// the process lives. It sleeps up to five seconds before it validates unless
// PEBBLE_VA_NOSLEEP is 1 when it starts.
type Server struct {
	ca   *ca.CAImpl
	db   *db.MemoryStore
	dns  *resolver
	http *http.Server
	root *x509.CertPool
	leaf *x509.Certificate // of the CA's own listener
	addr string
	done chan struct{}

	orders atomic.Int32
}

// Start starts a CA to which every name has the address 127.0.0.1.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	pair, root, err := frontCertificate()
	if err != nil {
		return nil, err
	}
	if o.Certificate != nil {
		pair = *o.Certificate
	}
	dns, err := newResolver()
	if err != nil {
		return nil, fmt.Errorf("the CA's DNS: %w", err)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", o.Address)
	if err != nil {
		return nil, errors.Join(err, dns.close())
	}
	logger := slog.NewLogLogger(slog.NewTextHandler(o.Log, nil), slog.LevelInfo) // what Pebble takes is of package log
	s := &Server{db: db.NewMemoryStore(), dns: dns, root: root, leaf: pair.Leaf, addr: ln.Addr().String(), done: make(chan struct{})}
	s.ca = ca.New(logger, s.db, "", "ecdsa", 0, 1, map[string]ca.Profile{
		"default": {Description: "of tests", ValidityPeriod: uint64(o.Validity / time.Second)},
	})
	for id, key := range o.ExternalAccounts {
		if err := s.db.AddExternalAccountKeyByID(id, key); err != nil {
			return nil, errors.Join(err, ln.Close(), dns.close())
		}
	}
	validation := va.New(logger, o.HTTPPort, o.TLSPort, true, dns.address(), s.db)
	front := wfe.New(logger, s.db, validation, s.ca, []string{"pebble.invalid"}, true, len(o.ExternalAccounts) > 0, 1, 1)
	handler := s.count(alias(o.Directory, front.Handler()))
	if o.Front != nil {
		handler = o.Front(handler)
	}
	s.http = &http.Server{Handler: handler, ErrorLog: logger, ReadHeaderTimeout: time.Minute,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}}
	go func() {
		defer close(s.done)
		_ = s.http.ServeTLS(ln, "", "") // it ends by Close
	}()
	return s, nil
}

// Directory is the URL that ACME clients are given.
func (s *Server) Directory() string { return "https://" + s.addr + wfe.DirectoryPath }

// Address is where the CA listens.
func (s *Server) Address() string { return s.addr }

// Client trusts the CA's own listener.
func (s *Server) Client() *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.root, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}}
}

// alias has Pebble's directory at another path too.
func alias(directory string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if directory != "" && r.URL.Path == directory {
			r = r.Clone(r.Context())
			r.URL.Path = wfe.DirectoryPath
		}
		next.ServeHTTP(w, r)
	})
}

// Front trusts the CA's own listener.
func (s *Server) Front() *x509.CertPool { return s.root }

// Listener is the certificate of the CA's own listener, as a file for clients
// has it.
func (s *Server) Listener() *x509.Certificate { return s.leaf }

// Root signs the certificates that the CA issues, by an intermediate.
func (s *Server) Root() *x509.Certificate { return s.ca.GetRootCert(0).Cert }

// Roots trust the certificates that the CA issues.
func (s *Server) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Root())
	return pool
}

// Suggest makes the CA suggest a window for renewing a certificate (RFC 9773).
func (s *Server) Suggest(leaf *x509.Certificate, start, end time.Time) error {
	return s.SuggestRaw(leaf, fmt.Sprintf(`{"suggestedWindow":{"start":%q,"end":%q},"explanationURL":"https://ca.invalid/why"}`,
		start.UTC().Format(time.RFC3339Nano), end.UTC().Format(time.RFC3339Nano)))
}

// SuggestRaw is Suggest with any answer at all.
func (s *Server) SuggestRaw(leaf *x509.Certificate, answer string) error {
	return s.db.SetARIResponse(leaf.SerialNumber, answer)
}

// Close ends the CA and waits for its listeners.
func (s *Server) Close() error {
	err := errors.Join(s.http.Close(), s.dns.close())
	<-s.done
	return err
}

func frontCertificate() (tls.Certificate, *x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "test CA's front"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool, nil
}

// loopback says whether a question's name is one that the resolver answers.
func loopback(name string) bool {
	return !strings.HasSuffix(strings.ToLower(name), ".nowhere.invalid.")
}
