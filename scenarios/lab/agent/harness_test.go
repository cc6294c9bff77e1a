package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

// run starts an agent and stops it when the test ends.
func run(t *testing.T, o Options) *Agent {
	t.Helper()
	if o.Token == "" {
		o.Token = "token-of-agent"
	}
	if o.Version == "" {
		o.Version, o.Commit = "v1.2.3", "abcdef0"
	}
	if o.Cluster == nil {
		o.Cluster = &rest.Config{Host: "http://cluster.invalid", Dial: refuseDial}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return a
}

func refuseDial(context.Context, string, string) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Err: net.ErrClosed}
}

// served is a kas over plain gRPC, an API server behind TLS, and the agent
// between them.
type served struct {
	kas     *fakeKAS
	cluster *httptest.Server
	agent   *Agent
}

func serveCluster(t *testing.T, handler http.HandlerFunc, change ...func(*Options)) *served {
	t.Helper()
	return serveClusterOver(t, true, handler, change...)
}

func serveClusterOver(t *testing.T, http2 bool, handler http.HandlerFunc, change ...func(*Options)) *served {
	t.Helper()
	s := &served{kas: newFakeKAS(), cluster: httptest.NewUnstartedServer(withVersion(handler))}
	s.cluster.EnableHTTP2 = http2
	if http2 {
		s.cluster.TLS = &tls.Config{NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}
	}
	s.cluster.StartTLS()
	t.Cleanup(s.cluster.Close)
	o := Options{KasURL: "grpc://" + s.kas.serve(t), Cluster: clusterOf(s.cluster)}
	for _, c := range change {
		c(&o)
	}
	s.agent = run(t, o)
	return s
}

// withVersion keeps the agent's own question away from the handler.
func withVersion(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/version") {
			_, _ = w.Write([]byte(`{"major":"1","minor":"37","gitVersion":"v1.37.2","platform":"linux/amd64"}`))
			return
		}
		handler(w, r)
	}
}

func clusterOf(s *httptest.Server) *rest.Config {
	return &rest.Config{Host: s.URL, TLSClientConfig: rest.TLSClientConfig{CAData: pemOf(s)}}
}

func pemOf(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

func poolOf(s *httptest.Server) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(s.Certificate())
	return p
}

func length(n int64) *int64 { return &n }
