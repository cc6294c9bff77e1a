package httpengine_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kasgen/runtime/httpengine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen opens a loopback port until the test ends.
func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// serve runs a server of the engine until the test ends.
func serve(t testing.TB, h http.Handler, o httpengine.ServerOptions) (*httpengine.Server, string) {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	ln := listen(t)
	s := httpengine.NewServer(ln, h, o)
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, ln.Addr().String()
}

// both is a cleartext server of HTTP/1.1 and HTTP/2.
func both() httpengine.ServerOptions {
	return httpengine.ServerOptions{HTTP1: true, HTTP2: true, Header: 5 * time.Second}
}

// to is an upstream at an address.
func to(address string) *httpengine.Upstream {
	var d net.Dialer
	return &httpengine.Upstream{
		Connect: 5 * time.Second,
		Dial:    func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", address) },
	}
}

// passing is what a request is sent on as, unchanged.
func passing(r *http.Request) httpengine.Outgoing {
	out := httpengine.Outgoing{Method: r.Method, Target: r.RequestURI, Host: r.Host, Header: r.Header, ContentLength: r.ContentLength}
	if r.ContentLength != 0 {
		out.Body = r.Body
	}
	return out
}

// answer writes a failure as a proxy would.
func answer(w http.ResponseWriter, f *httpengine.Failure) {
	if f != nil {
		http.Error(w, string(f.Stage)+": "+f.Err.Error(), f.Status)
	}
}

func http1To(u *httpengine.Upstream, o httpengine.HTTP1Options) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, u.HTTP1(w, r, passing(r), o)) })
}

func grpcTo(u *httpengine.Upstream, o httpengine.GRPCOptions) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, u.GRPC(w, r, passing(r), o)) })
}

// certificate is a server's TLS for 127.0.0.1 and kas.example.com, and who
// trusts it.
func certificate(t testing.TB, alpn ...string) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spec := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"kas.example.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, spec, spec, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: alpn}, roots
}
