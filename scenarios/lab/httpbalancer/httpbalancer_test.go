package httpbalancer

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"kasgen/runtime/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, o Options) (*Balancer, *tls.Config) {
	t.Helper()
	dir := t.TempDir()
	ca, crt := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "lb.crt")
	if _, err := state.Ensure([]state.Item{{Path: ca, Kind: state.CA}, {Path: crt, Kind: state.Certificate, Names: []string{"kas.example.com"}}}); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(crt, state.KeyPath(crt))
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	var d net.Dialer
	o.Certificate, o.Dial, o.Log = pair, d.DialContext, slog.New(slog.DiscardHandler)
	b, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b, &tls.Config{RootCAs: roots, ServerName: "kas.example.com"}
}

// TestUpgrades sends each upgrade through the kind that may pass it.
func TestUpgrades(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrade := r.Header.Get("Upgrade")
		if upgrade == "" {
			fmt.Fprintf(w, "no upgrade, for %s, by %s", r.Header.Get("X-Forwarded-Proto"), r.Host)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", upgrade)
		_, _ = io.CopyN(conn, conn, 4)
	}))
	t.Cleanup(backend.Close)
	b, client := start(t, Options{Kind: HTTP1, Backend: backend.Listener.Addr().String()})
	for _, tt := range []struct{ upgrade, want string }{
		{"websocket", "HTTP/1.1 101 Switching Protocols"},
		{"SPDY/3.1", "HTTP/1.1 200 OK"},
	} {
		conn, err := tls.Dial("tcp", b.Addr().String(), client)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(conn, "POST /exec HTTP/1.1\r\nHost: kas.example.com\r\nConnection: Upgrade\r\nUpgrade: %s\r\nContent-Length: 0\r\n\r\n", tt.upgrade)
		r := bufio.NewReader(conn)
		line, err := r.ReadString('\n')
		if err != nil || line != tt.want+"\r\n" {
			t.Errorf("%s: %q, %v; want %q", tt.upgrade, line, err, tt.want)
		}
		conn.Close()
	}
}

// TestGRPC needs HTTP/2 to the backend: trailers and streams.
func TestGRPC(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	healthpb.RegisterHealthServer(s, health.NewServer())
	go s.Serve(ln)
	t.Cleanup(s.Stop)
	for kind, works := range map[Kind]bool{HTTP1: false, HTTP2: true} {
		b, client := start(t, Options{Kind: kind, Backend: ln.Addr().String()})
		conn, err := grpc.NewClient(b.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(client)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err = healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
		if works != (err == nil) {
			t.Errorf("%s: %v", kind, err)
		}
		cancel()
		conn.Close()
	}
}
